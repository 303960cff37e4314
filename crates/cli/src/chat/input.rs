//! Lines from standard input, read on a thread of their own: a blocked read can not be cancelled, so
//! nothing that must react to Ctrl-C may wait in one.

use std::io::BufRead as _;

use tokio::sync::mpsc;

/// Lines as they are typed.
pub struct Input {
    lines: mpsc::Receiver<String>,
}

impl Input {
    /// Begins to read.
    #[must_use]
    pub fn start() -> Self {
        let (sender, lines) = mpsc::channel(1);
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        });
        Self { lines }
    }

    /// The next line; `None` at the end of input. Can be cancelled without losing a line.
    pub async fn line(&mut self) -> Option<String> {
        self.lines.recv().await
    }

    /// All of standard input.
    ///
    /// # Errors
    /// When it can not be read or is not UTF-8.
    pub async fn all() -> std::io::Result<String> {
        let read = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
        read.await.map_err(std::io::Error::other)?
    }
}
