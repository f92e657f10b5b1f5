use std::os::fd::AsFd;

use super::format::is_stderr;
use super::*;

#[test]
fn words_of_formats() {
    for word in ["auto", "text", "json", "journal"] {
        assert_eq!(word.parse::<LogFormat>().map(LogFormat::word), Ok(word));
    }
    assert!("Json".parse::<LogFormat>().is_err());
}

#[test]
fn the_journal_is_recognised_by_device_and_inode() {
    let stat = nix::sys::stat::fstat(io::stderr().as_fd()).expect("standard error");
    assert!(is_stderr(&format!("{}:{}", stat.st_dev, stat.st_ino)));
    for other in [
        format!("{}:{}", stat.st_dev, stat.st_ino + 1),
        format!("{}:{}", stat.st_dev + 1, stat.st_ino),
        String::new(),
        "a:b".to_owned(),
        "1".to_owned(),
    ] {
        assert!(!is_stderr(&other), "{other}");
    }
}

#[test]
fn a_slip_in_a_level_is_refused() {
    for good in ["info", "off", "warn,audit=info", "mdevd::bus=debug", ""] {
        assert_eq!(check(good), Ok(()), "{good}");
    }
    for bad in ["inof", "info,wran", "audit=lots"] {
        assert!(check(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_bus_library_is_quiet_unless_somebody_wants_to_hear_it() {
    for (level, expected) in [
        ("info", "info,zbus=warn"),
        ("warn,debug", "warn,debug,zbus=warn"),
        ("debug,audit=info", "debug,audit=info,zbus=warn"),
        ("debug,zbus=trace", "debug,zbus=trace"),
        ("info,zbus::connection=info", "info,zbus::connection=info"),
        ("warn", "warn"),
        ("error", "error"),
        ("off", "off"),
        ("mdevd=debug", "mdevd=debug"),
        ("", ""),
    ] {
        assert_eq!(quieted(level), expected, "{level}");
        assert!(filter(level).is_ok(), "{level}");
    }
}
