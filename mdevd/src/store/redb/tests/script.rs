//! Random changes to few names, from a seed, and what they make of a map.

use std::collections::BTreeMap;

/// What a store should hold.
pub type Model = BTreeMap<Vec<u8>, Vec<u8>>;

/// Numbers from a seed (splitmix64).
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

    pub fn coin(&mut self) -> bool {
        self.roll() & 1 == 0
    }
}

/// A key, and its new value or that it goes.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// One of `names` names gets a value as long as a definition is, or goes.
pub fn change(dice: &mut Dice, names: u64) -> Change {
    let key = format!("vm{}", dice.below(names)).into_bytes();
    let value = (dice.below(3) > 0).then(|| {
        let len = 250 + usize::try_from(dice.below(300)).expect("fits");
        (0..len).map(|_| dice.roll().to_le_bytes()[0]).collect()
    });
    Change { key, value }
}

impl Change {
    pub fn apply(&self, model: &mut Model) {
        match &self.value {
            Some(value) => model.insert(self.key.clone(), value.clone()),
            None => model.remove(&self.key),
        };
    }
}
