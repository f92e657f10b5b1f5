//! How many calls are in progress, in all and of one sender.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::fault::Fault;
use crate::limits::{MAX_BUS_CALLS, MAX_BUS_CALLS_OF_ONE};

/// Counts calls; clones count the same.
#[derive(Clone, Debug, Default)]
pub(super) struct Admission(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_sender: HashMap<String, usize>,
}

/// One call in progress, until dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Admission,
    sender: String,
}

impl Admission {
    /// Lets one more call of `sender` in.
    pub(super) fn admit(&self, sender: &str) -> Result<Admitted, Fault> {
        let mut counts = self.0.lock();
        if counts.all >= MAX_BUS_CALLS {
            return Err(Fault::limits_exceeded(format!(
                "{MAX_BUS_CALLS} calls are in progress, and that is the limit; repeat when some have been answered"
            )));
        }
        let of_one = counts.by_sender.entry(sender.to_owned()).or_default();
        if *of_one >= MAX_BUS_CALLS_OF_ONE {
            return Err(Fault::limits_exceeded(format!(
                "{MAX_BUS_CALLS_OF_ONE} calls of {sender} are in progress, and that is the limit for one \
                 connection; wait for answers before sending more"
            )));
        }
        *of_one += 1;
        counts.all += 1;
        Ok(Admitted {
            admission: self.clone(),
            sender: sender.to_owned(),
        })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.0.lock();
        counts.all -= 1;
        if let Some(of_one) = counts.by_sender.get_mut(&self.sender) {
            *of_one -= 1;
            if *of_one == 0 {
                counts.by_sender.remove(&self.sender);
            }
        }
    }
}
