//! Who forwards frames between two guests.

use anyhow::Result;

use super::cpu::Cores;
use super::rows::ContenderId;
use super::{mdevd, model, testpmd};
use crate::fakevm::net::NetGuest;

/// Someone who can be started, with two guests attached.
pub trait Contender {
    /// Which one it is.
    fn id(&self) -> ContenderId;

    /// Name in tables and results.
    fn name(&self) -> &'static str {
        self.id().name()
    }

    /// What it is, exactly: version and command line.
    fn describe(&self) -> String;

    /// Starts it afresh.
    ///
    /// # Errors
    /// Fails when it does not come up, or a guest cannot be attached.
    fn start(&self) -> Result<Rig>;
}

/// A running contender with two guests.
pub struct Rig {
    /// The guest that always sends.
    pub first: Box<dyn NetGuest>,
    /// The guest that always receives.
    pub second: Box<dyn NetGuest>,
    /// Addresses of both.
    pub macs: [[u8; 6]; 2],
    /// Stops the contender, after the guests have gone.
    pub stop: Box<dyn FnOnce() -> Result<()>>,
}

impl Rig {
    /// Detaches the guests and stops the contender.
    ///
    /// # Errors
    /// Fails when the contender did not survive until here.
    pub fn stop(self) -> Result<()> {
        let Rig {
            first,
            second,
            stop,
            ..
        } = self;
        drop((first, second));
        stop()
    }
}

/// Makes a contender; installs what it needs.
///
/// # Errors
/// Fails when something is missing that cannot be had here.
pub fn make(id: ContenderId, cores: Cores) -> Result<Box<dyn Contender>> {
    Ok(match id {
        ContenderId::Testpmd => Box::new(testpmd::Testpmd::new(cores)?),
        ContenderId::MdevdTrapped | ContenderId::MdevdMapped => {
            Box::new(mdevd::Mdevd::new(id, cores)?)
        }
        ContenderId::Model => Box::new(model::Model),
    })
}
