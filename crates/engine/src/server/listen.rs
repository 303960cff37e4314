//! Binding the address: a Unix socket for its owner alone, or a TCP port.

use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::net::TcpListener as StdTcpListener;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::error::EngineError;
use crate::options::Listen;

/// A bound address. Dropping it removes the socket file.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: Socket,
    pub(super) file: Option<SocketFile>,
    address: Listen,
}

/// Of no runtime: what binds and what serves may be different ones.
#[derive(Debug)]
pub(super) enum Socket {
    Unix(StdUnixListener),
    Tcp(StdTcpListener),
}

/// Removes the file of a socket when dropped.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(%error, "the socket file could not be removed");
        }
    }
}

impl Bound {
    /// The address in force: a port 0 has become the port taken.
    #[must_use]
    pub fn address(&self) -> &Listen {
        &self.address
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

/// Binds `listen`.
///
/// A socket file that nobody answers on is left over from a process that was killed, and replaced.
///
/// # Errors
/// When the address is taken or may not be used.
pub async fn bind(listen: &Listen) -> Result<Bound, EngineError> {
    let bound = match listen {
        Listen::Unix(path) => bind_unix(path).await,
        Listen::Tcp(address) => bind_tcp(*address).await,
    };
    bound.map_err(|message| EngineError::Listen { address: listen.to_string(), message })
}

async fn bind_unix(path: &Path) -> Result<Bound, String> {
    remove_stale(path).await?;
    let listener = UnixListener::bind(path).map_err(|error| error.to_string())?;
    let file = Some(SocketFile(path.to_owned()));
    // Until here the umask holds; the folder of the sockets is the owner's alone as well.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|error| error.to_string())?;
    let listener = listener.into_std().map_err(|error| error.to_string())?;
    Ok(Bound { socket: Socket::Unix(listener), file, address: Listen::Unix(path.to_owned()) })
}

async fn remove_stale(path: &Path) -> Result<(), String> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(metadata) if metadata.file_type().is_socket() => {}
        Ok(_) => return Err("the path exists and is no socket: remove it or choose another one".to_owned()),
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| format!("the left-over socket can not be removed: {error}"))
        }
        _ => Err("another process listens there".to_owned()),
    }
}

async fn bind_tcp(address: SocketAddr) -> Result<Bound, String> {
    let listener = TcpListener::bind(address).await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the engine has no keys: whoever reaches this address can use it");
    }
    let listener = listener.into_std().map_err(|error| error.to_string())?;
    Ok(Bound { socket: Socket::Tcp(listener), file: None, address: Listen::Tcp(address) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_left_over_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("e.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).expect("left over"));
        let listen = Listen::Unix(path.clone());
        let bound = bind(&listen).await.expect("replaced");
        assert_eq!(std::fs::metadata(&path).expect("file").permissions().mode() & 0o777, 0o600);
        let error = bind(&listen).await.expect_err("live").to_string();
        assert!(error.contains("another process"), "{error}");
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_kept() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "mine").expect("write");
        let error = bind(&Listen::Unix(path.clone())).await.expect_err("no socket").to_string();
        assert!(error.contains("no socket") && path.exists(), "{error}");
    }

    #[tokio::test]
    async fn port_0_becomes_the_port_taken() {
        let bound = bind(&"tcp:127.0.0.1:0".parse().expect("address")).await.expect("bound");
        assert!(matches!(bound.address(), Listen::Tcp(address) if address.port() != 0));
    }
}
