//! What a device is to be, and why it cannot be.

use super::direct::DataPath;
use super::model::Model;
use super::policy::{PolicyError, PortPolicy};
use crate::control::{Identity, MacAddr};
use crate::ledger::{CutError, Request, Shortage};
use crate::limits::{MAX_FILTER_MACS, MAX_MTU, MAX_QUEUE_PAIRS, MAX_VLAN, MIN_MTU};
use crate::offload::TagStyle;
use crate::personality::avf;
use crate::personality::virtio_net::SettingsError;
use crate::personality::{Doorbells, Interrupts, RingFormats};
use crate::pf::Capabilities;
use crate::switch::SwitchError;

/// A device as it was asked for; fixed for its life, but for its policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CvfSpec {
    /// Name, unique in the daemon.
    pub name: String,
    /// UUID.
    pub uuid: [u8; 16],
    /// What the guest sees.
    pub model: Model,
    /// The device's address.
    pub mac: MacAddr,
    /// MTU in bytes.
    pub mtu: u16,
    /// Access VLAN, 1 to 4094.
    pub vlan: Option<u16>,
    /// How its frames are tagged where they leave that VLAN through a trunk.
    pub vlan_tag: TagStyle,
    /// Queue pairs.
    pub queue_pairs: u16,
    /// How doorbells reach the device.
    pub doorbells: Doorbells,
    /// How the device interrupts.
    pub interrupts: Interrupts,
    /// Ring formats that its driver may choose.
    pub ring_formats: RingFormats,
    /// Which way its frames take.
    pub data_path: DataPath,
    /// What its frames may claim, and how many there may be, to begin with.
    pub policy: PortPolicy,
}

impl CvfSpec {
    /// Who it is, in the log.
    pub fn identity(&self) -> Identity {
        Identity {
            device: self.name.clone(),
            uuid: self.uuid,
        }
    }

    /// MSI-X vectors.
    pub const fn vectors(&self) -> u16 {
        match self.interrupts {
            Interrupts::Msix => self.model.vectors(self.queue_pairs),
            Interrupts::Intx => 0,
        }
    }

    /// What it takes from a PF that gives a device so much.
    pub fn request(&self, capabilities: &Capabilities) -> Request {
        Request {
            queue_pairs: self.queue_pairs.into(),
            rss_domains: 1,
            vectors: u32::from(self.vectors()).max(1),
            doorbell_pages: 2 * u32::from(self.queue_pairs) + 1,
            filters: capabilities.filters.unwrap_or(MAX_FILTER_MACS as u32),
        }
    }

    /// Whether a PF of that name, which gives a device so much, can have it at all, whatever is left of it.
    ///
    /// # Errors
    /// [`ComposeError::MostPairs`], [`ComposeError::MostMtu`], [`ComposeError::NoDirect`], [`ComposeError::DirectNeeds`],
    /// [`ComposeError::AvfNeeds`].
    pub fn suits(&self, pf: &str, capabilities: &Capabilities) -> Result<(), ComposeError> {
        let pf = || pf.to_owned();
        self.model.check(self)?;
        super::direct::check(self)?;
        if self.data_path == DataPath::Direct && !capabilities.direct {
            return Err(ComposeError::NoDirect {
                pf: pf(),
                why: "it has no hardware for that".into(),
            });
        }
        let over = |most: &u16, asked: u16| *most < asked;
        if let Some(most) = capabilities
            .most_pairs
            .filter(|most| over(most, self.queue_pairs))
        {
            return Err(ComposeError::MostPairs {
                pf: pf(),
                asked: self.queue_pairs,
                most,
            });
        }
        match capabilities.most_mtu.filter(|most| over(most, self.mtu)) {
            Some(most) => Err(ComposeError::MostMtu {
                pf: pf(),
                asked: self.mtu,
                most,
            }),
            None => Ok(()),
        }
    }

    pub(super) fn check(&self) -> Result<(), ComposeError> {
        if !(1..=MAX_QUEUE_PAIRS).contains(&self.queue_pairs) {
            return Err(ComposeError::QueuePairs(self.queue_pairs));
        }
        if !(MIN_MTU..=MAX_MTU).contains(&self.mtu) {
            return Err(ComposeError::Mtu(self.mtu));
        }
        if !self.mac.is_unicast_nonzero() {
            return Err(ComposeError::Mac(self.mac));
        }
        self.model.check(self)?;
        self.policy.check()?;
        self.policy.check_queues(self.queue_pairs)?;
        super::direct::check(self)?;
        match self.vlan {
            Some(vlan) if !(1..=MAX_VLAN).contains(&vlan) => Err(ComposeError::Vlan(vlan)),
            _ => Ok(()),
        }
    }
}

/// Why a device could not be composed; nothing was taken.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// Out of range.
    #[error("{0} queue pairs refused: give 1 to {MAX_QUEUE_PAIRS}")]
    QueuePairs(u16),
    /// Out of range.
    #[error("MTU {0} refused: give {MIN_MTU} to {MAX_MTU}")]
    Mtu(u16),
    /// Not an address a device can have.
    #[error("{0} cannot be a device's address: give a unicast address other than zero")]
    Mac(MacAddr),
    /// Out of range.
    #[error("VLAN {0} refused: give 1 to {MAX_VLAN}")]
    Vlan(u16),
    /// Its policy cannot be.
    #[error("{0}")]
    Policy(#[from] PolicyError),
    /// The PF has too little left.
    #[error("{0}: destroy a device, ask for less, or use another PF")]
    Shortage(#[from] Shortage),
    /// All of the PF is another device's.
    #[error(
        "PF {pf} is whole in the hands of {owner}, whose rings its hardware works itself (data path direct): destroy that \
         device, or use another PF"
    )]
    Exclusive {
        /// The PF.
        pf: String,
        /// Who has it.
        owner: String,
    },
    /// All of the PF is asked for, and others have parts of it.
    #[error(
        "data path direct takes all of PF {pf}, and {owners} others are on it, {first} first: destroy them, or use \
         another PF"
    )]
    NotAlone {
        /// The PF.
        pf: String,
        /// How many are on it.
        owners: usize,
        /// One of them.
        first: String,
    },
    /// The PF's hardware cannot work this device's rings.
    #[error("data path direct is not to be had on PF {pf}: {why}")]
    NoDirect {
        /// The PF.
        pf: String,
        /// Why.
        why: String,
    },
    /// An adaptive virtual function cannot be that.
    #[error("{field} {value} refused: personality avf needs {what}")]
    AvfNeeds {
        /// The field of [`CvfSpec`] that says otherwise.
        field: &'static str,
        /// What that says.
        value: String,
        /// What it would have to.
        what: String,
    },
    /// The device is not made for it.
    #[error("data path direct needs {what}")]
    DirectNeeds {
        /// What it lacks.
        what: String,
    },
    /// The switch refuses: the address is taken, no port is free.
    #[error("{0}")]
    Switch(#[from] SwitchError),
    /// The device model refuses.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The same, of an adaptive virtual function.
    #[error("{0}")]
    Avf(#[from] avf::SettingsError),
    /// More queue pairs than the PF gives one device.
    #[error("{asked} queue pairs refused: PF {pf} gives a device {most} at most")]
    MostPairs {
        /// The PF.
        pf: String,
        /// Asked for.
        asked: u16,
        /// What it gives.
        most: u16,
    },
    /// A larger MTU than the PF's buffers hold.
    #[error("MTU {asked} refused: PF {pf} can have {most} at most")]
    MostMtu {
        /// The PF.
        pf: String,
        /// Asked for.
        asked: u16,
        /// What it can have.
        most: u16,
    },
    /// The PF's hardware refuses.
    #[error("PF {pf}: {why}")]
    Hardware {
        /// The PF.
        pf: String,
        /// Why.
        why: String,
    },
    /// The kernel refuses memory for doorbell pages.
    #[error("cannot make the memory for doorbell pages: {0}")]
    Doorbells(nix::errno::Errno),
}

impl From<CutError> for ComposeError {
    fn from(error: CutError) -> Self {
        match error {
            CutError::Short(shortage) => Self::Shortage(shortage),
            CutError::Exclusive { pf, owner } => Self::Exclusive { pf, owner },
            CutError::NotAlone { pf, owners, first } => Self::NotAlone { pf, owners, first },
        }
    }
}
