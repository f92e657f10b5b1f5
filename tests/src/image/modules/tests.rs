use super::depends;

#[test]
fn dependencies_are_read_from_the_information_section() {
    assert_eq!(
        depends(b"xx\0license=GPL\0depends=a,b_c\0name=d\0"),
        ["a", "b_c"]
    );
}

#[test]
fn none_and_absent_are_empty() {
    assert!(depends(b"\0depends=\0name=d\0").is_empty());
    assert!(depends(b"nothing here").is_empty());
}
