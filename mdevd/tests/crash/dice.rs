//! Numbers from a seed (splitmix64).

use mdevd::engine::CreateRequest;

#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// A request for `name` with attributes that are nobody's defaults.
    pub fn request(&mut self, name: &str) -> CreateRequest {
        let local = |roll: u64| {
            let [.., a, b, c, d] = roll.to_be_bytes();
            format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
        };
        let (queue_pairs, mtu) = (Some(1 + self.below(3)), Some(1280 + self.below(2000)));
        CreateRequest {
            queue_pairs,
            mtu,
            vlan: (self.below(2) == 0).then(|| (1 + self.below(4094)).into()),
            mac: (self.below(3) == 0).then(|| local(self.roll())),
            ring_format: (self.below(3) == 0).then(|| "any".to_owned()),
            socket_mode: (self.below(3) == 0).then(|| "0600".to_owned()),
            ..CreateRequest::named(name)
        }
    }
}
