//! Asking the agent of the same container.

use std::io;
use std::path::Path;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

/// Sends the request, or without one each line of standard input, and prints the answers.
pub async fn run(socket: &Path, request: Option<&str>) -> io::Result<()> {
    let stream = UnixStream::connect(socket).await.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("no agent answers at {}: {error}", socket.display()),
        )
    })?;
    let (read, mut write) = stream.into_split();
    let mut answers = BufReader::new(read).lines();
    let (mut input, given) = (std::io::stdin().lines(), request.is_some());
    let mut next = request.map(str::to_owned);
    loop {
        let line = match next.take() {
            Some(line) => line,
            None if given => return Ok(()),
            // Blocks the only thread, which has nothing else to do.
            None => match input.next() {
                Some(line) => line?,
                None => return Ok(()),
            },
        };
        write.write_all(line.as_bytes()).await?;
        write.write_all(b"\n").await?;
        match answers.next_line().await? {
            Some(answer) => println!("{answer}"),
            None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the agent ended")),
        }
    }
}
