//! MCP over standard input and output: one message per line.
//!
//! `rmcp` drops a line that it can not read; here it is answered. What it writes goes through us too,
//! so that lines never mix.

use std::time::Duration;

use rmcp::service::{QuitReason, ServerInitializeError, serve_server_with_ct};
use serde_json::Value;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::message;
use super::server::Server;

/// Longest message, in bytes.
const MAX_LINE: u64 = 16 << 20;
/// Bytes on their way to and from `rmcp`.
const PIPE: usize = 256 << 10;
/// How long calls may go on when the client has closed its end: one that was only a pipe still gets its
/// answer, one that has left does not keep the machine busy.
const LAST_CALLS: Duration = Duration::from_secs(30);

/// The connection could not be served.
#[derive(Debug, thiserror::Error)]
pub enum StdioError {
    /// The client did not begin as MCP says.
    #[error("the MCP client did not begin with 'initialize' or a request of revision 2026-07-28: {0}")]
    Begin(#[from] Box<ServerInitializeError>),
    /// A bug of ours.
    #[error("the MCP server broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// Serves one client until it closes its end or `stop` is cancelled.
///
/// # Errors
/// When the client does not speak MCP.
pub async fn serve(
    server: Server,
    input: impl AsyncRead + Send + Unpin + 'static,
    output: impl AsyncWrite + Send + Unpin + 'static,
    stop: CancellationToken,
) -> Result<(), StdioError> {
    let (to_client, lines) = mpsc::channel::<Vec<u8>>(64);
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let (from_rmcp, to_rmcp) = tokio::io::split(ours);
    let writing = tokio::spawn(write(lines, output, stop.clone()));
    let reading = tokio::spawn(read(input, to_rmcp, to_client.clone(), stop.clone()));
    let passing = tokio::spawn(pass(from_rmcp, to_client));

    let served = async {
        let running = serve_server_with_ct(server, tokio::io::split(theirs), stop.clone()).await.map_err(Box::new)?;
        match running.waiting().await? {
            QuitReason::JoinError(error) => Err(error.into()),
            _ => Ok(()),
        }
    }
    .await;
    reading.abort();
    // Both end by themselves now that nobody writes to them; what is left to say is said first.
    for task in [passing, writing] {
        drop(tokio::time::timeout(Duration::from_secs(2), task).await);
    }
    match served {
        // A client that leaves before it has said anything, or that we leave, did nothing wrong.
        Err(StdioError::Begin(error))
            if matches!(*error, ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) =>
        {
            Ok(())
        }
        served => served,
    }
}

/// Lines of the client: to `rmcp`, or answered when they are no message.
async fn read(
    input: impl AsyncRead + Unpin,
    mut to_rmcp: impl AsyncWrite + Unpin,
    to_client: mpsc::Sender<Vec<u8>>,
    stop: CancellationToken,
) {
    let mut input = BufReader::new(input);
    loop {
        let mut line = Vec::new();
        let read = (&mut input).take(MAX_LINE).read_until(b'\n', &mut line).await;
        let whole = line.ends_with(b"\n");
        match read {
            Ok(0) | Err(_) => break,
            Ok(_) if !whole && line.len() as u64 == MAX_LINE => {
                // What follows is the rest of a line that is lost anyway.
                let mut problem = message::error(&Value::Null, message::INVALID_REQUEST, "the message is too long");
                problem["error"]["data"] = serde_json::json!({"limit_bytes": MAX_LINE});
                drop(to_client.send(as_line(&problem)).await);
                if !skip_line(&mut input).await {
                    break;
                }
                continue;
            }
            Ok(_) => {}
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if let Some(problem) = message::problem(&line) {
            drop(to_client.send(as_line(&problem)).await);
            continue;
        }
        if !whole {
            line.push(b'\n');
        }
        if to_rmcp.write_all(&line).await.is_err() {
            return;
        }
    }
    // The end of input tells `rmcp` to finish its calls; a limit for that is ours to set.
    drop(to_rmcp.shutdown().await);
    tokio::time::sleep(LAST_CALLS).await;
    stop.cancel();
}

async fn skip_line(input: &mut (impl AsyncBufRead + Unpin)) -> bool {
    loop {
        let Ok(buffer) = input.fill_buf().await else { return false };
        if buffer.is_empty() {
            return false;
        }
        let end = buffer.iter().position(|&byte| byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        input.consume(used);
        if end.is_some() {
            return true;
        }
    }
}

/// Lines of `rmcp` to the writer.
async fn pass(from_rmcp: impl AsyncRead + Unpin, to_client: mpsc::Sender<Vec<u8>>) {
    let mut lines = BufReader::new(from_rmcp);
    loop {
        let mut line = Vec::new();
        match lines.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if to_client.send(line).await.is_err() => return,
            Ok(_) => {}
        }
    }
}

/// Everything to the client. A client that does not read any more has left.
async fn write(mut lines: mpsc::Receiver<Vec<u8>>, mut output: impl AsyncWrite + Unpin, stop: CancellationToken) {
    while let Some(line) = lines.recv().await {
        let written = async {
            output.write_all(&line).await?;
            output.flush().await
        };
        if written.await.is_err() {
            stop.cancel();
            return;
        }
    }
}

fn as_line(message: &Value) -> Vec<u8> {
    let mut line = message.to_string().into_bytes();
    line.push(b'\n');
    line
}
