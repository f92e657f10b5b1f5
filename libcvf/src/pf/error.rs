//! Why a PF cannot be taken into use.

use super::tap::TapError;
use super::vfio::{HostTree, PciAddress, VfioError};
use crate::limits::{MAX_PF_QUEUE_PAIRS, MAX_WORKERS};
use crate::switch::SwitchError;

/// Why a PF cannot be.
#[derive(Debug, thiserror::Error)]
pub enum PfError {
    /// Out of range.
    #[error("PF {name}: {count} queue pairs refused: give 1 to {MAX_PF_QUEUE_PAIRS}")]
    QueuePairs {
        /// The PF.
        name: String,
        /// What was asked for.
        count: u32,
    },
    /// Out of range.
    #[error("PF {name}: {count} workers refused: give 1 to {MAX_WORKERS}")]
    Workers {
        /// The PF.
        name: String,
        /// What was asked for.
        count: u16,
    },
    /// A thread could not be started.
    #[error("PF {name}: starting its workers: {source}")]
    Thread {
        /// The PF.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// The way out.
    #[error("PF {name}: {source}")]
    Tap {
        /// The PF.
        name: String,
        /// Why.
        source: TapError,
    },
    /// The switch.
    #[error("PF {name}: {source}")]
    Switch {
        /// The PF.
        name: String,
        /// Why.
        source: SwitchError,
    },
    /// The function behind it.
    #[error("PF {name}: {source}")]
    Vfio {
        /// The PF.
        name: String,
        /// Why.
        source: Box<VfioError>,
    },
}

/// As many workers as a PF may have.
pub(super) fn check_workers(name: &str, count: u16) -> Result<(), PfError> {
    let fits = (1..=MAX_WORKERS).contains(&count);
    fits.then_some(()).ok_or_else(|| PfError::Workers {
        name: name.to_owned(),
        count,
    })
}

/// The function at an address is one that its driver knows. Looked at before it is opened, for that resets it, which is
/// not for a function that is another's by a slip of the pen.
pub(super) fn check_known(
    name: &str,
    (tree, address): (&HostTree, PciAddress),
    (driver, ids): (&str, &[(u16, u16)]),
) -> Result<(), PfError> {
    let vfio = |source| PfError::Vfio {
        name: name.to_owned(),
        source: Box::new(source),
    };
    let absent = |source| vfio(VfioError::Absent { address, source });
    let (vendor, device) = tree.look(address).map_err(absent)?.id;
    if ids.contains(&(vendor, device)) {
        return Ok(());
    }
    let known: Vec<String> = ids
        .iter()
        .map(|(vendor, device)| format!("{vendor:04x}:{device:04x}"))
        .collect();
    Err(vfio(VfioError::Lacks {
        address,
        what: format!(
            "it is {vendor:04x}:{device:04x}, and the driver {driver} knows {}; give the address of such a function \
             (`lspci -Dnn`)",
            known.join(", ")
        ),
    }))
}
