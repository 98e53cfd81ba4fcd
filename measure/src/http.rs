//! One HTTP/1.1 exchange over a connection, and how it can fail.

use std::io::ErrorKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection, and what was read of the next answer.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer: its status, and whether the connection may be used again.
pub struct Answer {
    pub status: u16,
    pub keep: bool,
}

/// Name of an error of a connect.
pub fn connect_error(error: &std::io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::ConnectionRefused => "connect_refused",
        ErrorKind::TimedOut => "connect_etimedout",
        ErrorKind::ConnectionReset => "connect_reset",
        ErrorKind::AddrNotAvailable => "connect_addr_not_available",
        _ => "connect_other",
    }
}

impl Connection {
    pub fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }

    /// Whether the other side has closed or reset a connection that is idle.
    pub fn is_closed(&self) -> bool {
        let mut byte = [0];
        match self.stream.try_read(&mut byte) {
            Err(error) => error.kind() != ErrorKind::WouldBlock,
            Ok(_) => true,
        }
    }

    /// Sends a request and reads its answer.
    pub async fn exchange(&mut self, method: &str, keep: bool) -> Result<Answer, &'static str> {
        let connection = if keep { "keep-alive" } else { "close" };
        let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
        let request =
            format!("{method} /w HTTP/1.1\r\nHost: pod\r\n{length}Connection: {connection}\r\n\r\n");
        if self.stream.write_all(request.as_bytes()).await.is_err() {
            return Err("write_reset");
        }
        self.buffer.clear();
        let head = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.more(self.buffer.is_empty()).await?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
        let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        let field = |name: &str| {
            let mut lines = text.lines();
            lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim).map(str::to_owned))
        };
        let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
        let closes = field("connection").is_some_and(|value| value == "close") || text.starts_with("http/1.0");
        if let Some(length) = length {
            while self.buffer.len() < head + length {
                self.more(false).await?;
            }
        } else if field("transfer-encoding").is_some() {
            while find(&self.buffer[head..], b"0\r\n\r\n").is_none() {
                self.more(false).await?;
            }
        } else {
            while self.more(false).await.is_ok() {}
        }
        Ok(Answer { status, keep: keep && !closes })
    }

    async fn more(&mut self, first: bool) -> Result<(), &'static str> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) if first => Err("eof"),
            Ok(0) => Err("eof_partial"),
            Ok(_) => Ok(()),
            Err(_) => Err("read_reset"),
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
