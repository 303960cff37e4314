//! The binary `lla`; everything is in the library, where tests reach it.

fn main() -> std::process::ExitCode {
    lla_cli::run()
}
