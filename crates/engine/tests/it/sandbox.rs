//! The sandbox, tried out in a child process: this one must stay free.

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use lla_engine::Listen;

/// Set in the child: the address of a listener that it may not reach.
const CHILD: &str = "LLA_SANDBOX_CHILD";

#[test]
fn in_the_sandbox_nothing_is_written_reached_or_started() {
    if let Some(address) = std::env::var_os(CHILD) {
        return try_everything(address.to_str().expect("an address"));
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let folder = tempfile::tempdir().expect("folder");
    let name = "sandbox::in_the_sandbox_nothing_is_written_reached_or_started";
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", name, "--nocapture", "--test-threads", "1"])
        .current_dir(folder.path())
        .env(CHILD, address)
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
    assert!(child.status.success(), "{said}");
    print!("{}", said.lines().filter(|line| line.contains("skipped")).collect::<String>());
}

fn try_everything(address: &str) {
    std::fs::create_dir("sockets").expect("free until now");
    std::fs::write("sockets/engine.sock", "").expect("free until now");
    std::fs::write("other", "").expect("free until now");
    let socket = std::env::current_dir().expect("folder").join("sockets/engine.sock");
    let sandbox = lla_engine::sandbox::enter(&Listen::Unix(socket.clone()));
    if sandbox.files {
        assert!(std::fs::write("new", "x").is_err(), "a new file");
        assert!(std::fs::write("other", "x").is_err(), "a file that is there");
        assert!(std::fs::remove_file("other").is_err(), "a file elsewhere");
        assert!(std::fs::read("other").is_ok(), "reading stays");
        std::fs::remove_file(socket).expect("the socket's own file");
        assert!(Command::new("/bin/true").status().is_err(), "a program");
    } else {
        println!("skipped: the kernel has no Landlock");
    }
    if sandbox.network || sandbox.calls {
        assert!(TcpStream::connect(address).is_err(), "a connection");
        assert!(TcpListener::bind("127.0.0.1:0").is_err(), "a port");
    }
    if sandbox.calls {
        assert!(UdpSocket::bind("127.0.0.1:0").is_err(), "UDP");
        std::os::unix::net::UnixStream::pair().expect("pairs stay: signals need one");
    } else {
        println!("skipped: the kernel has no filter of system calls");
    }
    let thread = std::thread::spawn(|| std::fs::write("new", "x").is_err());
    assert!(!sandbox.files || thread.join().expect("no panic"), "threads inherit it");
}
