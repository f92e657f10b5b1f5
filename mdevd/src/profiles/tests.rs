use std::fs;

use tempfile::tempdir;

use super::*;
use crate::limits::MAX_PROFILES;

#[test]
fn shipped_profiles_are_there_and_the_default_is_one() {
    let profiles = Profiles::shipped(DEFAULT);
    for name in ["container", "tenant", "trusted", "nfv", "lab"] {
        assert_eq!(profiles.get(name).expect(name).name, name);
    }
    assert!(profiles.get(profiles.default_name()).is_ok());
}

#[test]
fn only_files_that_end_in_toml_are_profiles_and_not_too_many() {
    let dir = tempdir().expect("a directory");
    let write = |name: &str, text: &[u8]| fs::write(dir.path().join(name), text).expect("written");
    write("notes.txt", b"nonsense");
    write("binary.toml", b"\xff\xfe");
    write("UPPER.toml", b"");
    write("large.toml", &vec![b'#'; policies::limits::MAX_PROFILE + 1]);
    fs::create_dir(dir.path().join("folder.toml")).expect("made");
    nix::unistd::mkfifo(&dir.path().join("pipe.toml"), nix::sys::stat::Mode::S_IRWXU)
        .expect("a pipe");
    let profiles = Profiles::new(Some(dir.path()), DEFAULT);
    for (name, why) in [
        ("binary", "it is no text"),
        ("UPPER", "is no name for a profile"),
        ("large", "bytes"),
    ] {
        let error = profiles.get(name).expect_err(name).to_string();
        assert!(error.contains(why) && error.contains(name), "{error}");
    }
    assert_eq!(profiles.all().len(), 5 + 3);
    for n in 0..MAX_PROFILES {
        write(&format!("z{n}.toml"), b"");
    }
    let report = profiles.reload(|_| false);
    assert_eq!(report.added.len(), MAX_PROFILES - 3);
    assert!(
        report
            .refused
            .iter()
            .any(|fault| fault.contains("3 profiles more")),
        "{:?}",
        report.refused
    );
}

#[test]
fn a_directory_that_cannot_be_read_takes_nothing_away() {
    let dir = tempdir().expect("a directory");
    let place = dir.path().join("profiles");
    fs::create_dir(&place).expect("made");
    fs::write(place.join("a.toml"), "").expect("written");
    let profiles = Profiles::new(Some(&place), DEFAULT);
    fs::remove_file(place.join("a.toml")).expect("removed");
    fs::remove_dir(&place).expect("removed");
    fs::write(&place, "no directory").expect("written");
    let report = profiles.reload(|_| false);
    assert!(
        report.refused[0].contains("cannot read the profiles in"),
        "{:?}",
        report.refused
    );
    assert_eq!(report.removed, Vec::<String>::new());
    assert!(profiles.get("a").is_ok());
}
