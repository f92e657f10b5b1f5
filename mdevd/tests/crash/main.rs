//! Kills. What was acknowledged is there after the next start, whole; what was not is there whole or not
//! at all; nothing else is.
//!
//! Most kills hit a small process (`house`): the engine and the store as the daemon has them, on a
//! backend without a data plane. It starts in milliseconds, so it can be killed a thousand times. Some
//! tens of kills hit the whole daemon (`daemon`), under load from several clients of its bus.
//!
//! | variable | |
//! |---|---|
//! | `MDEVD_KILLS` | random kills of the small process; 1,000, which take about half a minute on two cores |
//! | `MDEVD_DAEMON_KILLS` | random kills of the daemon; 30 |
//! | `MDEVD_SEED` | the seed, which every test prints |

mod daemon;
mod dice;
mod house;
mod judge;
#[path = "../support/mod.rs"]
mod support;

/// A number from the environment.
fn number(variable: &str, default: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(default, |text| text.parse().expect(variable))
}

/// The seed of a run: given, or of the clock.
fn seed() -> u64 {
    let clock = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("after 1970");
    let seed = number("MDEVD_SEED", u64::from(clock.subsec_nanos()));
    println!("MDEVD_SEED={seed}");
    seed
}
