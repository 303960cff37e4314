use std::fs;

use super::*;
use crate::models::progress::Progress;
use crate::models::pull;
use lla_protocol::gguf::testing::model_bytes;

struct Place {
    folder: tempfile::TempDir,
    store: Store,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("models"));
        Self { folder, store }
    }

    /// A model file of the user's.
    fn file(&self, name: &str, salt: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, model_bytes(salt)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn pull(&self, source: &str) -> Result<Installed, StoreError> {
        pull(&self.store, source, &Progress::quiet()).await
    }
}

#[tokio::test]
async fn a_file_is_registered_shown_and_left_alone() {
    let place = Place::new();
    let path = place.file("Tiny Model.gguf", "a");
    let model = place.pull(&path).await.unwrap();
    assert_eq!(model.name, "tiny-model");
    assert_eq!(model.path, fs::canonicalize(&path).unwrap());
    assert_eq!(model.manifest.licence.as_deref(), Some("apache-2.0"));
    assert_eq!((model.stored_bytes(), model.manifest.gguf.context_length), (0, Some(2048)));
    for asked in ["tiny-model", &path] {
        assert_eq!(place.store.resolve(asked).unwrap(), model, "{asked}");
    }
    assert_eq!(place.store.list().unwrap(), std::slice::from_ref(&model));
    assert_eq!(place.pull("tiny-model").await.unwrap(), model, "again, by its name");
    let shown = super::super::print::show(&model);
    assert!(shown.contains("(yours: registered, not copied)") && shown.contains("KV cache"), "{shown}");
    assert!(super::super::print::list(std::slice::from_ref(&model)).contains("tiny-model  "));
    place.store.remove("tiny-model").unwrap();
    assert!(Path::new(&path).is_file(), "the user's file stays");
    assert!(place.store.list().unwrap().is_empty());
    assert!(!place.store.model_folder("tiny-model").exists());
}

#[tokio::test]
async fn a_changed_file_is_refused_until_it_is_pulled_again() {
    let place = Place::new();
    let path = place.file("m.gguf", "a");
    let before = place.pull(&path).await.unwrap();
    place.file("m.gguf", "longer than before");
    let error = place.store.resolve("m").unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
    assert!(place.store.list().unwrap().is_empty(), "left out, with a warning");
    let after = place.pull(&path).await.unwrap();
    assert_ne!(before.manifest.sha256, after.manifest.sha256);
    fs::remove_file(&path).unwrap();
    assert!(matches!(place.store.resolve("m"), Err(StoreError::Damaged { .. })));
}

#[tokio::test]
async fn wrong_files_are_refused_and_nothing_is_left() {
    let place = Place::new();
    let write = |name: &str, bytes: &[u8]| {
        let path = place.folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let whole = model_bytes("a");
    let cut = write("cut.gguf", &whole[..whole.len() - 40]);
    let text = write("text.gguf", b"not a model");
    for (path, expected) in [(cut, "cut off"), (text, "does not begin with `GGUF`")] {
        let error = place.pull(&path).await.unwrap_err();
        assert!(matches!(&error, StoreError::NotGguf { problem, .. } if problem.contains(expected)), "{error}");
    }
    let missing = place.pull("./no/such.gguf").await.unwrap_err();
    assert!(missing.to_string().contains("can not read"), "{missing}");
    let good = write("good.gguf", &whole);
    let pinned = format!("file:{good}#sha256={}", "0".repeat(64));
    assert!(matches!(place.pull(&pinned).await, Err(StoreError::WrongHash { .. })));
    assert!(place.store.list().unwrap().is_empty());
}

#[tokio::test]
async fn names_are_not_taken_over_and_unknown_ones_get_a_hint() {
    let place = Place::new();
    let first = place.file("same.gguf", "a");
    fs::create_dir(place.folder.path().join("sub")).unwrap();
    let second = place.file("sub/same.gguf", "b");
    place.pull(&first).await.unwrap();
    for error in [place.pull(&second).await.unwrap_err(), place.store.resolve(&second).unwrap_err()] {
        assert!(matches!(error, StoreError::NameTaken { .. }), "{error}");
    }
    let error = place.store.resolve("smollm2-135m-instruc").unwrap_err();
    assert_eq!(error.to_string(), "no model is called `smollm2-135m-instruc`");
    assert!(error.hint().unwrap().starts_with("did you mean smollm2-135m-instruct"));
    let error = place.store.resolve("default").unwrap_err();
    assert!(matches!(error, StoreError::NotInstalled { .. }), "{error}");
    assert!(matches!(place.store.remove("zzz"), Err(StoreError::UnknownModel { .. })));
    for name in ["..", ".", "", "..\\x"] {
        assert!(place.store.remove(name).is_err() && place.store.resolve(name).is_err(), "{name:?}");
    }
    assert!(matches!(place.pull("zzz").await, Err(StoreError::UnknownModel { .. })));
}

#[tokio::test]
async fn prepared_forms_are_kept_preferred_and_removed() {
    let place = Place::new();
    let path = place.file("m.gguf", "a");
    place.pull(&path).await.unwrap();
    let make = |from: &Path, to: &Path| fs::copy(from, to).map(|_| ()).map_err(|error| error.to_string());
    let model = place.store.prepare_with("m", "bf16", 1, make).unwrap();
    let form = place.store.prepared_path("m", "bf16");
    assert_eq!((model.best_path(), model.prepared.as_deref()), (form.as_path(), Some(form.as_path())));
    let again = place.store.prepare_with("m", "bf16", 1, |_, _| Err("made twice".to_owned())).unwrap();
    assert_eq!(again, model);
    let failed = place.store.prepare_with("m", "q8_0", 1, |_, _| Err("out of luck".to_owned())).unwrap_err();
    assert!(failed.to_string().contains("out of luck"), "{failed}");
    let nonsense = place.store.prepare_with("m", "q8_0", 1, |_, to| fs::write(to, "no").map_err(|e| e.to_string()));
    assert!(matches!(nonsense, Err(StoreError::NotGguf { .. })));
    assert!(matches!(place.store.prepare_with("m", "q8_0", u64::MAX, make), Err(StoreError::NoSpace { .. })));
    assert_eq!(place.store.resolve("m").unwrap(), model, "as before");
    // A form that is cut short, or of another file, is passed over.
    fs::write(&form, "cut").unwrap();
    assert_eq!(place.store.resolve("m").unwrap().best_path(), model.path);
    fs::copy(&model.path, place.store.prepared_path("m", "f16")).unwrap();
    let recorded = place.store.record_prepared("m", "f16").unwrap();
    assert_eq!(recorded.best_path(), place.store.prepared_path("m", "f16"));
    place.file("m.gguf", "another one");
    assert_eq!(place.pull(&path).await.unwrap().prepared, None);
    // What somebody else put there stays.
    let notes = place.store.model_folder("m").join("notes.txt");
    fs::write(&notes, "mine").unwrap();
    place.store.remove("m").unwrap();
    assert!(notes.is_file() && !form.exists() && !place.store.prepared_path("m", "f16").exists());
    assert!(place.store.list().unwrap().is_empty());
    assert!(place.pull(&path).await.is_err_and(|error| error.to_string().contains("other files")));
}

#[test]
fn broken_manifests_are_named() {
    let place = Place::new();
    let folder = place.store.model_folder("x");
    fs::create_dir_all(&folder).unwrap();
    let cases = [("not toml at all [", "can not be read"), ("name = \"x\"", "can not be read")];
    for (text, expected) in cases {
        fs::write(folder.join(manifest::FILE_NAME), text).unwrap();
        let error = place.store.resolve("x").unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { problem, .. } if problem.contains(expected)), "{error}");
        assert!(error.hint().unwrap().contains("lla models remove x"));
    }
    place.store.remove("x").unwrap();
    assert!(!folder.exists());
}
