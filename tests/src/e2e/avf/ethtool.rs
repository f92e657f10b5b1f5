//! ethtool.

use super::super::rig;
use super::pair::{PAIRS, Pair};
use super::shown::{self, counter, expect, summed, value};
use crate::{limits, process, traffic};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

/// What the driver is given when the test is done: its own defaults.
const RING: u32 = 512;

/// What is shown, then what can be set, each with traffic behind it.
pub fn shown_and_set(pair: &Pair) -> Result<()> {
    let ethtool = Ethtool { pair };
    ethtool.what_it_is()?;
    ethtool.channels()?;
    ethtool.rings()?;
    ethtool.held_interrupts()?;
    ethtool.scaling()?;
    ethtool.counted()
}

struct Ethtool<'a> {
    pair: &'a Pair,
}

impl Ethtool<'_> {
    fn shown(&self, what: &str) -> Result<String> {
        shown::shown(&self.pair.a, what, &self.pair.first.interface)
    }

    /// `ethtool OPTION INTERFACE REST`.
    fn set(&self, option: &str, rest: &str) -> Result<()> {
        let interface = &self.pair.first.interface;
        self.pair
            .a
            .run(&format!("ethtool {option} {interface} {rest}"))
            .map(drop)
    }

    /// After what makes the driver reset itself.
    fn back(&self, what: &str) -> Result<()> {
        let first = &self.pair.first;
        self.pair
            .a
            .run(&rig::bringing_up(&first.interface, &first.address))?;
        self.pair.reach(what)
    }

    fn what_it_is(&self) -> Result<()> {
        let slot = self.pair.a.run(&format!(
            "basename $(readlink -f /sys/class/net/{}/device)",
            self.pair.first.interface
        ))?;
        expect(
            &self.shown("-i")?,
            &[
                ("driver", "iavf"),
                ("bus-info", &slot),
                ("supports-statistics", "yes"),
            ],
        )?;
        let on = "on";
        expect(
            &self.shown("-k")?,
            &[
                ("rx-checksumming", on),
                ("tx-checksumming", on),
                ("scatter-gather", on),
                ("tcp-segmentation-offload", on),
                ("generic-receive-offload", on),
                ("receive-hashing", on),
                ("rx-vlan-offload", on),
                ("tx-vlan-offload", on),
            ],
        )
    }

    fn channels(&self) -> Result<()> {
        let all = PAIRS.to_string();
        for pairs in [1, 2, PAIRS] {
            self.set("-L", &format!("combined {pairs}"))?;
            self.back(&format!("with {pairs} pairs"))?;
            let now = self.shown("-l")?;
            expect(&now, &[("Combined", &pairs.to_string())])?;
            let (most, _) = now.split_once("Current").context("ethtool -l")?;
            expect(most, &[("Combined", &all)])?;
            let health = &self.pair.show()?["health"];
            ensure!(health["active_pairs"] == pairs, "{health}");
        }
        let more = format!("combined {}", PAIRS + 1);
        ensure!(
            self.set("-L", &more).is_err(),
            "more pairs than there are were taken"
        );
        Ok(())
    }

    fn rings(&self) -> Result<()> {
        for (rx, tx) in [(1024, 256), (64, 64), (RING, RING)] {
            self.set("-G", &format!("rx {rx} tx {tx}"))?;
            self.back(&format!("with rings of {rx} and {tx}"))?;
            let (rx, tx) = (rx.to_string(), tx.to_string());
            expect(&self.shown("-g")?, &[("RX", &rx), ("TX", &tx)])?;
        }
        Ok(())
    }

    fn held_interrupts(&self) -> Result<()> {
        self.set(
            "-C",
            "adaptive-rx off adaptive-tx off rx-usecs 100 tx-usecs 80",
        )?;
        let adaptive = |text: &str, wanted| {
            let found = value(text, "Adaptive RX").map(str::to_owned);
            let words: Option<Vec<_>> = found.as_ref().map(|t| t.split_whitespace().collect());
            ensure!(words == Some(vec![wanted, "TX:", wanted]), "{text}");
            Ok(())
        };
        let now = self.shown("-c")?;
        expect(&now, &[("rx-usecs", "100"), ("tx-usecs", "80")])?;
        adaptive(&now, "off")?;
        self.pair.reach("with held interrupts")?;
        // Intervals that adapt cannot be set.
        self.set("-C", "rx-usecs 50 tx-usecs 50")?;
        self.set("-C", "adaptive-rx on adaptive-tx on")?;
        adaptive(&self.shown("-c")?, "on")?;
        self.pair.reach("with interrupts that adapt")
    }

    fn scaling(&self) -> Result<()> {
        let key: String = (0..52).map(|n| format!(":{:02x}", n * 4 + 3)).collect();
        let key = &key[1..];
        // Without the word, what the driver does not know of is taken for a transformation that it lacks.
        self.set("-X", &format!("hkey {key} equal 2 xfrm none"))?;
        let table = self.shown("-x")?;
        let (entries, rest) = table.split_once("RSS hash key:").context("ethtool -x")?;
        ensure!(
            rest.lines().any(|line| line.trim() == key),
            "{key} is not in\n{table}"
        );
        expect(&table, &[("toeplitz", "on")])?;
        let entries: Vec<&str> = entries
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter(|(place, _)| place.trim().parse::<u32>().is_ok())
            .flat_map(|(_, queues)| queues.split_whitespace())
            .collect();
        let halves: Vec<String> = (0..64).map(|n| (n % 2).to_string()).collect();
        ensure!(entries == halves, "{table}");
        let steering = self.steering("the driver's table to be in force", |steering| {
            steering["table"] == json!((0..64).map(|n| n % 2).collect::<Vec<_>>())
        })?;
        ensure!(
            steering["key_by"] == "guest" && steering["table_by"] == "guest",
            "{steering}"
        );
        self.pair.reach("with two queues")?;
        self.set("-X", &format!("equal {PAIRS} xfrm none"))?;
        self.steering("all queues to be in the table", |steering| {
            let table = steering["table"].as_array();
            table.is_some_and(|t| (0..PAIRS).all(|pair| t.iter().any(|queue| *queue == pair)))
        })?;
        self.pair.reach("with all queues")
    }

    fn steering(&self, what: &str, look: impl Fn(&Value) -> bool) -> Result<Value> {
        let name = &self.pair.first.device.name;
        let look = |shown: &Value| look(&shown["health"]["steering"]);
        let mut shown = self.pair.daemon.wait_show(name, what, look)?;
        Ok(shown["health"]["steering"].take())
    }

    /// What passed, as three count it: the device, what it tells its driver every other second, and the driver itself
    /// since its last reset.
    fn counted(&self) -> Result<()> {
        let before = self.looked()?;
        let sent = 50;
        traffic::ping_all(&self.pair.a, &self.pair.second.address, sent, "")?;
        let mut last = before;
        process::wait_for("all to count the same", limits::SETTLE, || {
            last = self.looked()?;
            let enough = |way: usize| last.device[way] >= before.device[way] + u64::from(sent);
            let same = |way: usize| {
                last.driver[way] - before.driver[way] == last.device[way] - before.device[way]
            };
            let agree = (0..2).all(|way| enough(way) && same(way)) && last.told == last.device;
            Ok(agree.then_some(()))
        })
        .with_context(|| format!("before {before:?}, now {last:?}"))
    }

    /// A look between which and the next no frame passed.
    fn looked(&self) -> Result<Look> {
        let name = &self.pair.first.device.name;
        let device = || -> Result<[u64; 2]> {
            let count = |key| self.pair.daemon.counter(name, key);
            Ok([count("/rx/frames")?, count("/tx/frames")?])
        };
        process::wait_for("a moment without frames", limits::SETTLE, || {
            let before = device()?;
            let text = self.shown("-S")?;
            let look = Look {
                device: device()?,
                told: [counter(&text, "rx_unicast")?, counter(&text, "tx_unicast")?],
                driver: [
                    summed(&text, "rx", "packets")?,
                    summed(&text, "tx", "packets")?,
                ],
            };
            Ok((before == look.device).then_some(look))
        })
    }
}

/// Frames received and sent.
#[derive(Clone, Copy, Debug)]
struct Look {
    device: [u64; 2],
    told: [u64; 2],
    driver: [u64; 2],
}
