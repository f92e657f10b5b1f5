use super::choose;

const TARGETS: &str = "\
bookworm-security main http://a.example/debian-security/
bookworm-updates main http://a.example/debian/
nodistro main http://other.example/
bookworm contrib http://c.example/debian/
bookworm main http://b.example/debian/
";

#[test]
fn the_releases_own_archive_is_chosen() {
    assert_eq!(
        choose(TARGETS, "bookworm").as_deref(),
        Some("http://b.example/debian/")
    );
}

#[test]
fn no_archive_of_the_release_means_none() {
    assert_eq!(choose(TARGETS, "noble"), None);
    assert_eq!(choose("", "bookworm"), None);
    assert_eq!(choose("bookworm\n\n", "bookworm"), None);
}
