use super::super::case::LEVELS;
use super::super::cover;
use super::*;
use lab_guest::plan;

/// UDP has no flow control: what is under way between two waits must find buffers.
#[test]
fn datagrams_under_way_fit_into_the_receivers_ring() {
    for row in cover::rows(&LEVELS, 3) {
        let case = Case::of(&row).unwrap();
        let mut under_way = 0;
        for message in plan::messages(&parts(&case)) {
            assert!(message.size > 0, "{case}: an empty message");
            for (_, size) in message.datagrams() {
                let (size, mtu) = (size as u32, u32::from(case.mtu()));
                let whole = mtu - ip(&case) - 8;
                let packets = if size <= whole {
                    1
                } else {
                    size.div_ceil((whole - 8) / 8 * 8)
                };
                let each = (size + ip(&case) + 22).min(mtu + 14);
                under_way += packets * each.div_ceil(BUFFER);
            }
            if case.protocol() != Protocol::Tcp {
                assert!(
                    under_way
                        <= u32::from(case.rx_ring()) - REFILL.min(u32::from(case.rx_ring()) / 2),
                    "{case}: {under_way} buffers for {message:?}"
                );
                assert!(message.size <= 65_000);
            }
            if message.wait {
                under_way = 0;
            }
        }
    }
}
