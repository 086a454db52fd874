//! As what does a shell find this program? For lines to paste.

use std::env;
use std::path::{Path, PathBuf};

const NAME: &str = "memgate";

/// Its name where that finds it, else its whole path, quoted.
pub(super) fn called() -> String {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(NAME));
    match env::current_exe() {
        Ok(program) => name_of(&program, found),
        Err(_) => NAME.to_owned(),
    }
}

/// `found`: where a shell looks for it, in order; the first that is there is the one that it runs.
fn name_of(program: &Path, mut found: impl Iterator<Item = PathBuf>) -> String {
    let runs = found.find(|place| place.is_file());
    let is_this = |place: PathBuf| place.canonicalize().ok() == program.canonicalize().ok();
    let whole = program
        .to_str()
        .and_then(|path| shlex::try_quote(path).ok());
    match whole {
        Some(whole) if !runs.is_some_and(is_this) => whole.into_owned(),
        _ => NAME.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_name_suffices_where_it_finds_this_very_program() {
        let folder = tempfile::tempdir().unwrap();
        let at = |place: &str| folder.path().join(place);
        for part in ["built here", "bin", "other"] {
            fs::create_dir(at(part)).unwrap();
        }
        let program = at("built here/memgate");
        fs::write(&program, "").unwrap();
        fs::write(at("other/memgate"), "").unwrap();
        symlink(&program, at("bin/memgate")).unwrap();
        let named = |places: &[&str]| name_of(&program, places.iter().map(|place| at(place)));

        let whole = format!("'{}'", program.display());
        assert_eq!(
            named(&["none/memgate", "bin/memgate", "other/memgate"]),
            "memgate"
        );
        assert_eq!(
            named(&["other/memgate", "bin/memgate"]),
            whole,
            "another is run by that name"
        );
        assert_eq!(named(&[]), whole);
    }
}
