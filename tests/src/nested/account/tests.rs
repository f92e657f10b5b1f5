use super::*;

const NORTH: u32 = 8;
const SOUTH: u32 = 9;

fn made(stream: u32, number: u64) -> Vec<u8> {
    let mut bytes = vec![0; 60];
    frame::write(&mut bytes, [2; 6], [4; 6], stream, number, false);
    bytes
}

fn seen(frames: &[Vec<u8>]) -> Watch {
    let mut watch = Watch::new(NORTH);
    for frame in frames {
        watch.look(frame);
    }
    watch
}

#[test]
fn frames_in_order_are_perfect_whatever_else_is_on_the_wire() {
    let mut frames: Vec<_> = (0..5).map(|number| made(NORTH, number)).collect();
    frames.insert(2, vec![0xff; 60]);
    frames.insert(4, made(SOUTH, 0));
    let account = seen(&frames).account(5, 5);
    assert!(account.is_perfect(5), "{account:?}");
    assert_eq!(account.strangers, 2);
}

#[test]
fn each_fault_is_seen_and_counted_as_what_it_is() {
    let five = || (0..5).map(|number| made(NORTH, number)).collect::<Vec<_>>();
    let mut lost = five();
    lost.remove(3);
    let mut swapped = five();
    swapped.swap(1, 2);
    let mut twice = five();
    twice.insert(1, made(NORTH, 0));
    let mut changed = five();
    changed[4][50] ^= 1;
    let of = |frames: &[Vec<u8>]| {
        let account = seen(frames).account(5, 5);
        assert!(!account.is_perfect(5), "{account:?}");
        (account.lost, account.wrong, account.disordered)
    };
    assert_eq!(of(&lost), (1, 0, 0));
    assert_eq!(of(&swapped), (0, 0, 1));
    assert_eq!(of(&twice), (0, 0, 1));
    assert_eq!(of(&changed), (1, 1, 0));
    let too_few = seen(&five()).account(4, 5);
    assert!(!too_few.is_perfect(5), "{too_few:?}");
}

#[test]
fn only_the_first_of_a_number_is_answered() {
    let mut watch = Watch::new(NORTH);
    assert_eq!(watch.look(&made(NORTH, 7)), Some(7));
    assert_eq!(watch.look(&made(NORTH, 7)), None);
    assert_eq!(watch.look(&made(SOUTH, 8)), None);
}

#[test]
fn no_two_runs_share_a_stream() {
    assert_eq!((north(4), south(4)), (NORTH, SOUTH));
    let streams: Vec<u32> = [0, 1, 2, MAX_RUN - 1, MAX_RUN]
        .iter()
        .flat_map(|run| [north(*run), south(*run)])
        .collect();
    assert!(streams.windows(2).all(|two| two[0] < two[1]), "{streams:?}");
}
