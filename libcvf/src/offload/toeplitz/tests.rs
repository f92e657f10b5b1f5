use proptest::prelude::*;

use super::super::testutil::RSS_KEY;
use super::*;

/// As the definition says it: a bit at a time.
fn by_definition(key: &[u8], input: &[u8]) -> u32 {
    let bit = |at: usize| -> u32 {
        let byte = key.get(at / 8).copied().unwrap_or(0);
        u32::from(byte >> (7 - at % 8) & 1)
    };
    let mut hash = 0;
    for at in (0..input.len() * 8).filter(|at| input[at / 8] >> (7 - at % 8) & 1 != 0) {
        hash ^= (0..32).fold(0, |window, next| window << 1 | bit(at + next));
    }
    hash
}

#[test]
fn nothing_hashes_to_zero() {
    assert_eq!(Toeplitz::new(&RSS_KEY).hash(&[]), 0);
    assert_eq!(Toeplitz::new(&RSS_KEY).hash(&[0; MAX_INPUT]), 0);
    assert_eq!(Toeplitz::new(&[]).hash(&[0xff; MAX_INPUT]), 0);
}

#[test]
fn the_first_bit_adds_the_keys_first_word() {
    assert_eq!(Toeplitz::new(&RSS_KEY).hash(&[0x80]), 0x6d5a_56da);
}

proptest! {
    #[test]
    fn the_tables_say_what_the_definition_says(
        key in prop::collection::vec(any::<u8>(), 0..=RSS_KEY_SIZE),
        input in prop::collection::vec(any::<u8>(), 0..=MAX_INPUT),
    ) {
        prop_assert_eq!(Toeplitz::new(&key).hash(&input), by_definition(&key, &input));
    }

    #[test]
    fn more_input_than_there_is_does_not_count(more in prop::collection::vec(any::<u8>(), 0..64)) {
        let toeplitz = Toeplitz::new(&RSS_KEY);
        let mut input = vec![0x5a; MAX_INPUT];
        let hash = toeplitz.hash(&input);
        input.extend(more);
        prop_assert_eq!(toeplitz.hash(&input), hash);
    }
}
