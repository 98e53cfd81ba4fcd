//! Standard output and standard error.

use super::Exit;
use std::io::Write;

/// Writes a result to standard output. A reader that went away (`| head`) is no error.
pub(super) fn bytes(bytes: &[u8]) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Exit::Ok,
        Err(why) if why.kind() == std::io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(why) => {
            let code = "E0005";
            error(&format!("error[{code}]: cannot write to standard output: {why}"));
            Exit::Failed
        }
    }
}

/// Writes a line to standard error.
pub(super) fn error(text: &str) {
    let mut out = std::io::stderr().lock();
    // Where standard error is gone there is nobody left to tell.
    let _ = writeln!(out, "{text}");
}
