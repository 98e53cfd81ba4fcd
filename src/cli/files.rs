//! The only code that touches files, standard input and the environment.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

/// A file that could not be read or written.
#[derive(Debug)]
pub(super) struct FileError {
    path: PathBuf,
    doing: &'static str,
    why: std::io::Error,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (code, remedy) = match (self.doing, self.why.kind()) {
            ("read", std::io::ErrorKind::NotFound) => ("E0001", "check the path"),
            ("read", _) => ("E0002", "check that it is a readable file"),
            (_, std::io::ErrorKind::StorageFull) => ("E0004", "free some space and run again"),
            _ => ("E0003", "check that the folder exists and may be written to"),
        };
        write!(
            f,
            "error[{code}]: cannot {} \"{}\": {}; {remedy}",
            self.doing,
            self.path.display(),
            self.why
        )
    }
}

fn error<'a>(path: &'a Path, doing: &'static str) -> impl FnOnce(std::io::Error) -> FileError + 'a {
    move |why| FileError { path: path.to_owned(), doing, why }
}

/// Largest file that is read: a trace of tens of millions of rows.
const SIZE_MAX: u64 = 4 << 30;

/// The bytes of a file; `-` is standard input.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        let input = std::io::stdin().lock();
        input.take(SIZE_MAX).read_to_end(&mut bytes).map_err(error(path, "read"))?;
        return Ok(bytes);
    }
    let size = std::fs::metadata(path).map_err(error(path, "read"))?;
    if size.is_dir() || size.len() > SIZE_MAX {
        let why = if size.is_dir() { "it is a folder" } else { "it is larger than 4 GiB" };
        return Err(error(path, "read")(std::io::Error::other(why)));
    }
    std::fs::read(path).map_err(error(path, "read"))
}

/// Makes a folder ready and proves that it can be written to, before any long work.
#[expect(clippy::disallowed_methods, reason = "this file is where files are touched")]
pub(super) fn open_folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(error(path, "write"))?;
    let probe = path.join(".headroom-probe");
    std::fs::write(&probe, b"probe").map_err(error(&probe, "write"))?;
    std::fs::remove_file(&probe).map_err(error(&probe, "write"))
}

/// Writes a file as a whole: under another name first, so that a full disk or a kill leaves no half of it.
#[expect(clippy::disallowed_methods, reason = "this file is where files are touched")]
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let part = path.with_file_name(name);
    let written = std::fs::write(&part, bytes).and_then(|()| std::fs::rename(&part, path));
    written.map_err(|why| {
        // Nothing half-written stays behind; that this may fail too changes nothing.
        let _ = std::fs::remove_file(&part);
        error(path, "write")(why)
    })
}

/// Adds to the end of a file, which is made if missing.
pub(super) fn append(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.append(true).create(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(error(path, "write"))
}

/// Adds to the end of a file and waits until it is on the disk.
pub(super) fn append_durably(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let file = std::fs::OpenOptions::new().append(true).open(path);
    let written = file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_data()
    });
    written.map_err(error(path, "write"))
}

/// A variable of the environment that is set and not empty.
#[expect(clippy::disallowed_methods, reason = "this file is where the environment is touched")]
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The file to which a step of GitHub Actions adds its summary, if this is one.
pub(super) fn step_summary() -> Option<PathBuf> {
    let path = std::env::var_os("GITHUB_STEP_SUMMARY")?;
    (!path.is_empty()).then(|| PathBuf::from(path))
}

/// Whether a path leads to something.
pub(super) fn exists(path: &Path) -> bool {
    path.exists()
}

/// Whether standard output is a terminal that wants colours.
pub(super) fn wants_colour(choice: super::args::Color) -> bool {
    use super::args::Color;
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match choice {
        Color::Always => true,
        Color::Never => false,
        Color::Auto if set("NO_COLOR") => false,
        Color::Auto if set("CLICOLOR_FORCE") => true,
        Color::Auto => std::io::stdout().is_terminal(),
    }
}

/// Width of the terminal, columns; 100 where there is none.
pub(super) fn width() -> usize {
    let columns = std::env::var_os("COLUMNS").and_then(|text| text.to_str()?.parse().ok());
    columns.unwrap_or(100).clamp(60, 200)
}

/// Every file below a folder, in the order of their names.
pub(super) fn below(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(error(&folder, "read"))? {
            let path = entry.map_err(error(&folder, "read"))?.path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    Ok(found)
}
