//! What the operator reads where hardware cannot work a guest's rings.

use super::*;

fn told(error: &ComposeError) -> (ErrorKind, String) {
    let error = compose_error("vm1", error).on("create", "vm1");
    (error.kind(), error.to_string())
}

#[test]
fn a_pf_that_cannot_is_named_with_the_reason() {
    let error = ComposeError::NoDirect {
        pf: "soft0".into(),
        why: "a soft PF has no hardware that could".into(),
    };
    assert_eq!(
        told(&error),
        (
            ErrorKind::InvalidArgument,
            "cannot create 'vm1': data-path \"direct\" cannot be: PF 'soft0' cannot work a guest's rings itself: a soft PF \
             has no hardware that could; give a PF that can, or data path 'auto'"
                .to_owned()
        )
    );
}

#[test]
fn what_is_missing_is_named() {
    let error = ComposeError::DirectNeeds {
        what: "the function's own address".into(),
    };
    assert_eq!(
        told(&error),
        (
            ErrorKind::InvalidArgument,
            "cannot create 'vm1': data-path \"direct\" cannot be: it needs the function's own address; give that, or data \
             path 'auto'"
                .to_owned()
        )
    );
}

/// What was asked is named, not what it does not go with.
#[test]
fn what_a_personality_cannot_be_is_named() {
    let error = ComposeError::AvfNeeds {
        field: "mtu",
        value: "9703".into(),
        what: "an MTU of at most 9702".into(),
    };
    assert_eq!(
        told(&error),
        (
            ErrorKind::InvalidArgument,
            "cannot create 'vm1': mtu \"9703\" cannot be: personality 'avf' needs an MTU of at most 9702; give that, or \
             personality 'virtio-net'"
                .to_owned()
        )
    );
}

#[test]
fn who_is_in_the_way_is_named() {
    let error = ComposeError::Exclusive {
        pf: "nic0".into(),
        owner: "fast".into(),
    };
    let (kind, text) = told(&error);
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(text.contains("'fast' has PF 'nic0' as a whole"), "{text}");
    let error = ComposeError::NotAlone {
        pf: "nic0".into(),
        owners: 3,
        first: "vm7".into(),
    };
    let (kind, text) = told(&error);
    assert_eq!(kind, ErrorKind::Conflict);
    assert!(
        text.contains("3 devices are on it, 'vm7' among them"),
        "{text}"
    );
}
