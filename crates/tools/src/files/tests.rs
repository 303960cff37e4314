use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

/// A root with files of every kind, and a secret beside it.
struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let world = Self { folder };
        std::fs::create_dir_all(world.root().join("docs/deep")).expect("folders");
        std::fs::write(world.outside(), "secret").expect("write");
        world.file("a.txt", b"alpha");
        world.file("docs/b.md", b"\xef\xbb\xbfbeta");
        world.file("docs/deep/c.md", b"gamma");
        world.file("docs/.hidden.md", b"hidden");
        world
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn outside(&self) -> PathBuf {
        self.folder.path().join("secret.txt")
    }

    fn file(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.root().join(name), bytes).expect("write");
    }

    fn link(&self, target: impl AsRef<Path>, name: &str) {
        symlink(target, self.root().join(name)).expect("link");
    }

    fn files(&self) -> Files {
        Files::new([self.root()], Limits { file_bytes: 1000, total_bytes: 1500, files: 3 })
    }

    fn read(&self, path: &str) -> Result<Vec<TextFile>, FileError> {
        self.files().read_now(path)
    }

    fn code(&self, path: &str) -> &'static str {
        self.read(path).expect_err(path).code()
    }

    fn texts(&self, path: &str) -> Vec<String> {
        self.read(path).expect(path).into_iter().map(|file| file.text).collect()
    }
}

#[test]
fn files_are_read_by_relative_and_absolute_path() {
    let world = World::new();
    let absolute = world.root().join("a.txt").display().to_string();
    for path in ["a.txt", "./a.txt", "docs/../a.txt", "docs/deep/../../a.txt", absolute.as_str()] {
        let file = world.read(path).expect(path).remove(0);
        assert_eq!((file.text.as_str(), file.read.bytes, file.read.path.as_str()), ("alpha", 5, path));
    }
    assert_eq!(world.texts("docs/b.md"), ["beta"], "without the byte order mark");
}

#[test]
fn nothing_outside_the_root_is_read() {
    let world = World::new();
    let absolute = world.outside().display().to_string();
    let through = format!("{}/../secret.txt", world.root().display());
    for path in ["../secret.txt", "docs/../../secret.txt", "/etc/passwd", "../*.txt", "/etc/*", &absolute, &through] {
        assert_eq!(world.code(path), "path_outside_allowed_folders", "{path}");
    }
    world.link("../secret.txt", "relative");
    world.link(&absolute, "absolute");
    world.link("..", "up");
    world.link("/", "slash");
    world.link("relative", "twice");
    for path in ["relative", "absolute", "up/secret.txt", "twice", "slash/etc/passwd", "up/root/../secret.txt"] {
        let code = world.code(path);
        assert!(["path_outside_allowed_folders", "file_not_found"].contains(&code), "{path}: {code}");
    }
    assert_eq!(world.code("rel*"), "path_outside_allowed_folders", "a pattern follows no link either");
    assert_eq!(world.code("up/*.txt"), "path_outside_allowed_folders");
    assert_eq!(world.code("a\0.txt"), "file_not_found");
    assert_eq!(world.code(&"x".repeat(10_000)), "file_not_found");
}

#[test]
fn links_that_stay_inside_are_followed() {
    let world = World::new();
    world.link("docs/b.md", "relative");
    world.link(world.root().join("a.txt"), "absolute");
    world.link("docs", "folder");
    assert_eq!(world.texts("relative"), ["beta"]);
    assert_eq!(world.texts("absolute"), ["alpha"]);
    assert_eq!(world.texts("folder/b.md"), ["beta"]);
    // The root itself may be named through a link.
    let other_name = world.folder.path().join("other");
    symlink(world.root(), &other_name).expect("link");
    let files = Files::new([other_name.clone()], Limits::default());
    for path in [other_name.join("a.txt"), world.root().join("a.txt"), PathBuf::from("a.txt")] {
        assert_eq!(files.read_now(&path.display().to_string()).expect("inside")[0].text, "alpha");
    }
}

#[test]
fn only_regular_files_are_opened_and_a_pipe_does_not_hang() {
    let world = World::new();
    mknodat(CWD, world.root().join("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe");
    let _listener = std::os::unix::net::UnixListener::bind(world.root().join("socket")).expect("a socket");
    for path in ["pipe", "socket", "docs", ".", "pip*"] {
        assert_eq!(world.code(path), "not_a_regular_file", "{path}");
    }
    let devices = Files::new([PathBuf::from("/dev")], Limits::default());
    for path in ["null", "zero", "/dev/zero"] {
        assert_eq!(devices.read_now(path).expect_err(path).code(), "not_a_regular_file", "{path}");
    }
}

#[test]
fn only_text_of_bearable_size_is_read() {
    let world = World::new();
    world.file("huge", &[b'x'; 1001]);
    world.file("most", &[b'x'; 1000]);
    world.file("most2", &[b'x'; 1000]);
    world.file("binary", b"ab\0cd");
    world.file("latin1", b"caf\xe9");
    let sparse = std::fs::File::create(world.root().join("sparse")).expect("file");
    sparse.set_len(1 << 40).expect("a terabyte of nothing");
    assert_eq!(world.code("huge"), "file_too_large");
    assert_eq!(world.code("sparse"), "file_too_large");
    assert_eq!(world.texts("most")[0].len(), 1000);
    assert_eq!(world.read("most*").expect_err("2000"), FileError::TooLargeTogether { limit: 1500 });
    assert_eq!(world.read("binary").expect_err("binary"), FileError::Binary { path: "binary".to_owned() });
    assert_eq!(world.read("latin1").expect_err("latin1"), FileError::NotUtf8 { path: "latin1".to_owned(), at: 3 });
    assert_eq!(world.code("none.txt"), "file_not_found");
}

#[test]
fn patterns_match_sorted_files_inside() {
    let world = World::new();
    assert_eq!(world.texts("**/*.md"), ["beta", "gamma"], "hidden ones only when spelled");
    assert_eq!(world.texts("docs/*.md"), ["beta"]);
    assert_eq!(world.texts("docs/.*.md"), ["hidden"]);
    assert_eq!(world.texts("{a.txt,docs/deep/*}"), ["alpha", "gamma"]);
    let absolute = format!("{}/docs/**/*.md", world.root().display());
    let shown: Vec<String> = world.read(&absolute).expect("inside").into_iter().map(|file| file.read.path).collect();
    assert_eq!(shown[0], world.root().join("docs/b.md").display().to_string());
    assert_eq!(world.code("*.nothing"), "file_not_found");
    assert_eq!(world.code("[a"), "invalid_value");
    for name in ["1.log", "2.log", "3.log", "4.log"] {
        world.file(name, b"x");
    }
    assert_eq!(world.code("*.log"), "too_many_files");
    world.file("[1].txt", b"a name that looks like a pattern");
    assert_eq!(world.texts("[1].txt"), ["a name that looks like a pattern"]);
}

#[test]
fn without_roots_nothing_is_read_and_a_missing_root_is_named() {
    assert_eq!(Files::default().read_now("a.txt"), Err(FileError::NoRoots));
    let files = Files::new([PathBuf::from("/no/such/folder")], Limits::default());
    assert_eq!(files.read_now("a").expect_err("no root").code(), "allowed_folder_unusable");
}

#[test]
fn several_roots_are_tried_in_turn() {
    let (first, second) = (World::new(), World::new());
    second.file("only-second.txt", b"second");
    let files = Files::new([first.root(), second.root()], Limits::default());
    assert_eq!(files.read_now("only-second.txt").expect("second")[0].text, "second");
    let absolute = second.root().join("a.txt").display().to_string();
    assert_eq!(files.read_now(&absolute).expect("second")[0].text, "alpha");
}

/// A link that is exchanged again and again between a file inside and one outside never gives what is
/// outside.
#[test]
fn a_link_that_is_swapped_gives_nothing_from_outside() {
    let world = World::new();
    let root = world.root();
    let (good, bad, name) = (root.join("good"), root.join("bad"), root.join("swapped"));
    std::fs::hard_link(root.join("a.txt"), &good).expect("link");
    symlink("../secret.txt", &bad).expect("link");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                for target in ["a.txt", "../secret.txt"] {
                    let fresh = root.join("fresh");
                    drop(symlink(target, &fresh));
                    drop(std::fs::rename(&fresh, &name));
                }
            }
        });
        for _ in 0..2000 {
            if let Ok(read) = world.read("swapped") {
                assert_eq!(read[0].text, "alpha");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever way a path takes through links and `..`, it ends inside or nowhere.
    #[test]
    fn no_path_leads_to_what_is_outside(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "..", ".", "", "root", "docs", "deep", "up", "slash", "relative", "absolute", "secret.txt", "a.txt",
                "*", "**", "*.txt", "{..,.}", "[.]", "tmp",
            ]),
            1..8,
        ),
        absolute in any::<bool>(),
    ) {
        let world = World::new();
        world.link("../secret.txt", "relative");
        world.link(world.outside(), "absolute");
        world.link("..", "up");
        world.link("/", "slash");
        let path = parts.join("/");
        let path = if absolute { format!("{}/{path}", world.root().display()) } else { path };
        if let Ok(files) = world.read(&path) {
            prop_assert!(files.iter().all(|file| file.text != "secret"), "{path}");
        }
    }
}
