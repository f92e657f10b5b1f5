use super::*;

#[test]
fn steering_is_told_in_a_line() {
    let mut shown = Steering::default();
    assert_eq!(steering(&shown), "chosen by the device");
    shown.hash_types = vec!["IPv4".to_owned(), "TCPv4".to_owned()];
    assert_eq!(steering(&shown), "chosen by the device; hash IPv4 TCPv4");
    shown.rss = true;
    shown.table = vec![3, 1, 0, 1, 6, 2, 3, 0];
    assert_eq!(
        steering(&shown),
        "rss, 8 entries over 0-3,6, others to 0; hash IPv4 TCPv4"
    );
}

#[test]
fn runs_join_neighbours() {
    assert_eq!(runs(&[]), "");
    assert_eq!(runs(&[5]), "5");
    assert_eq!(runs(&[0, 1, 2, 4, 65_535]), "0-2,4,65535");
}
