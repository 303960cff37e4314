//! The address: taking it, and telling others which it became.

use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context as _;
use tokio::net::TcpListener;

use crate::failure::{Exit, Failure, OrFail as _, Outcome};

/// Listens on `address`.
///
/// # Errors
/// When it is taken, not ours, or needs rights that we lack; says what to do.
pub async fn bind(address: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = hint(error.kind(), address);
        let failure = Failure {
            exit: Exit::Unavailable,
            error: anyhow::Error::new(error).context(format!("can not listen on {address}")),
            hint: None,
        };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn hint(kind: ErrorKind, address: &str) -> Option<String> {
    let (host, port) = address.rsplit_once(':')?;
    match kind {
        ErrorKind::AddrInUse => Some(format!(
            "another program listens there (perhaps another lla); see which one: ss -ltnp 'sport = :{port}'\n\
             or take a free port: lla serve --listen {host}:0"
        )),
        ErrorKind::PermissionDenied => Some(format!("ports below 1024 need rights: lla serve --listen {host}:7117")),
        ErrorKind::AddrNotAvailable => Some("this machine has no such address: `ip address` lists them".to_owned()),
        _ => None,
    }
}

/// Writes `http://ADDRESS:PORT` to `file`, all of it or nothing.
///
/// # Errors
/// When the file can not be written.
pub fn write_address(file: &Path, address: SocketAddr) -> Outcome {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let write = || -> anyhow::Result<()> {
        let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
        writeln!(temporary, "http://{address}")?;
        temporary.persist(file)?;
        Ok(())
    };
    write().with_context(|| format!("--address-file {} can not be written", file.display())).or_fail(Exit::Unavailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_explained() {
        let first = bind("127.0.0.1:0").await.expect("free port");
        let address = first.local_addr().expect("address");
        let failure = bind(&address.to_string()).await.expect_err("taken");
        assert_eq!(failure.exit, Exit::Unavailable);
        let text = failure.to_string();
        assert!(
            text.contains(&format!("sport = :{}", address.port())) && text.contains("--listen 127.0.0.1:0"),
            "{text}"
        );
    }

    #[test]
    fn the_address_is_written_whole() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("address");
        write_address(&file, SocketAddr::from(([127, 0, 0, 1], 80))).expect("write");
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "http://127.0.0.1:80\n");
        assert!(write_address(&folder.path().join("no/such"), SocketAddr::from(([127, 0, 0, 1], 80))).is_err());
    }
}
