//! `types`: what can be made, and how many more of it.

use libcvf::control::MacAddr;
use libcvf::cvf::{self, CvfSpec, PortPolicy};
use libcvf::limits::MAX_QUEUE_PAIRS;
use libcvf::pf::Capabilities;
use serde::{Deserialize, Serialize};

use super::super::catalog::Catalog;
use super::super::definition::{Personality, Word};
use super::super::error::EngineError;
use super::super::values::number;
use super::super::view::PfView;
use crate::limits::MAX_DEVICES;

/// One sort of device on one PF.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeView {
    /// Personality.
    #[serde(rename = "type")]
    pub personality: String,
    /// PF.
    pub pf: String,
    /// With so many queue pairs each.
    pub queue_pairs: u16,
    /// As many the PF could hold if it were empty.
    pub total: u64,
    /// As many can be started now.
    pub free: u64,
    /// The resource that there would be too little of for one more; `devices` where there are as many as can be,
    /// `exclusive` where one has the PF as a whole, `personality` where such devices do not have so many.
    pub limited_by: String,
    /// Most queue pairs that one more device could have now; 0: there can be none.
    pub largest: u16,
}

/// What a profile lets a device be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileLimits {
    /// Profile.
    pub name: String,
    /// It is that of devices that do not name one.
    pub default: bool,
    /// Most queue pairs.
    pub max_queue_pairs: u16,
    /// Most interrupt vectors.
    pub max_vectors: u16,
    /// Smallest MTU in bytes.
    pub min_mtu: u16,
    /// Largest MTU in bytes.
    pub max_mtu: u16,
}

/// Answer to `types`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Types {
    /// By PF and personality.
    pub types: Vec<TypeView>,
    /// By profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<ProfileLimits>,
}

/// What one device with so many queue pairs takes, by the names of resources.
fn takes(personality: Personality, queue_pairs: u16) -> [(&'static str, u64); 5] {
    let spec = CvfSpec {
        name: String::new(),
        uuid: [0; 16],
        model: personality.into(),
        mac: MacAddr([2, 0, 0, 0, 0, 1]),
        mtu: 1500,
        vlan: None,
        vlan_tag: Default::default(),
        queue_pairs,
        doorbells: cvf::Doorbells::Trapped,
        interrupts: cvf::Interrupts::Msix,
        ring_formats: cvf::RingFormats::Split,
        data_path: cvf::DataPath::Auto,
        policy: PortPolicy::default(),
    };
    let request = spec.request(&Capabilities::default());
    [
        ("queue-pairs", request.queue_pairs.into()),
        ("rss-domains", request.rss_domains.into()),
        ("vectors", request.vectors.into()),
        ("doorbell-pages", request.doorbell_pages.into()),
        ("filters", request.filters.into()),
    ]
}

/// How many devices with so many queue pairs fit in what `of` tells of each resource, and what limits that.
fn fit(
    pf: &PfView,
    (personality, queue_pairs): (Personality, u16),
    of: impl Fn(&super::super::view::Resource) -> u64,
) -> (u64, String) {
    if queue_pairs > personality.most_pairs() {
        return (0, "personality".to_owned());
    }
    let takes = takes(personality, queue_pairs);
    let each = pf.resources.iter().filter_map(|resource| {
        let (_, one) = takes.iter().find(|(kind, _)| *kind == resource.kind)?;
        let most = pf.most_each.iter().find(|most| most.kind == resource.kind);
        match most {
            // A device of so many pairs cannot be.
            Some(most) if resource.kind == "queue-pairs" && *one > most.count => {
                Some((0, resource.kind.clone()))
            }
            // It has as many as it gets, however many it would take.
            Some(most) => Some((
                of(resource).checked_div(most.count.min(*one))?,
                resource.kind.clone(),
            )),
            None => Some((of(resource).checked_div(*one)?, resource.kind.clone())),
        }
    });
    let devices = (MAX_DEVICES as u64, "devices".to_owned());
    each.fold(
        devices,
        |least, one| if one.0 < least.0 { one } else { least },
    )
}

impl Catalog {
    /// [`super::super::Engine::types`].
    pub(in crate::engine) fn what_fits(&self, queue_pairs: u64) -> Result<Types, EngineError> {
        let queue_pairs = number("queue_pairs", queue_pairs, 1, MAX_QUEUE_PAIRS.into())
            .map_err(|error| error.to("tell what fits"))?;
        let listed = self.names.lock().entries.len();
        let room = MAX_DEVICES.saturating_sub(listed) as u64;
        let mut types = Vec::new();
        for pf in self.backend.pfs() {
            for &(word, personality) in Personality::WORDS {
                let one = (personality, queue_pairs);
                let (total, _) = fit(&pf, one, |resource| resource.total);
                let (mut free, mut limited_by) = fit(&pf, one, |resource| resource.free);
                if pf.exclusive.is_some() {
                    (free, limited_by) = (0, "exclusive".to_owned());
                }
                if room < free {
                    (free, limited_by) = (room, "devices".to_owned());
                }
                let whole = pf.exclusive.is_some();
                let fits = |pairs: &u16| {
                    !whole && fit(&pf, (personality, *pairs), |resource| resource.free).0 > 0
                };
                let largest = (1..=MAX_QUEUE_PAIRS).rev().find(fits).filter(|_| room > 0);
                types.push(TypeView {
                    personality: word.to_owned(),
                    pf: pf.name.clone(),
                    queue_pairs,
                    total,
                    free,
                    limited_by,
                    largest: largest.unwrap_or(0),
                });
            }
        }
        let known = self.list_profiles().into_iter();
        let profiles = known.filter_map(|summary| {
            let profile = self.profiles.get(&summary.name).ok()?;
            let shape = &profile.shape;
            Some(ProfileLimits {
                name: summary.name,
                default: summary.default,
                max_queue_pairs: shape.max_queue_pairs,
                max_vectors: shape.max_vectors,
                min_mtu: shape.min_mtu,
                max_mtu: shape.max_mtu,
            })
        });
        Ok(Types {
            types,
            profiles: profiles.collect(),
        })
    }
}
