//! Names of models: `smol` is `smol:latest`. Pure.

const LATEST: &str = ":latest";

/// The name without the tag that every model has by default.
pub(super) fn short(name: &str) -> &str {
    name.strip_suffix(LATEST).unwrap_or(name)
}

/// Both mean the same model. Ollama does not tell capital letters apart.
pub(super) fn same(one: &str, other: &str) -> bool {
    short(one).eq_ignore_ascii_case(short(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_tag_may_be_left_out() {
        assert_eq!((short("smol:latest"), short("smol"), short("smol:1b")), ("smol", "smol", "smol:1b"));
        assert!(same("smol", "smol:latest") && same("Smol:latest", "smol"));
        assert!(!same("smol", "smol:1b") && !same("smol:latest", "smol:1b"));
    }
}
