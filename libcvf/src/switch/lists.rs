//! Ready lists of ports for frames that go to many.

use std::sync::Arc;

use super::port::{PortConfig, PortId, PortKind, Vid};

/// Ports of one VLAN (or the trunks, which are in every VLAN), by what they take. Each list is
/// sorted. Uplinks are in all but `promiscuous`.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) broadcast: Arc<[PortId]>,
    /// Every group.
    pub(super) multicast: Arc<[PortId]>,
    /// Unicast that nobody is known to have.
    pub(super) unknown: Arc<[PortId]>,
    /// Copies of unicast that is known to be for another.
    pub(super) promiscuous: Arc<[PortId]>,
}

/// In which lists of its VLAN a port is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Membership {
    pub(super) broadcast: bool,
    pub(super) multicast: bool,
    pub(super) unknown: bool,
    pub(super) promiscuous: bool,
}

impl Membership {
    pub(super) fn of(config: &PortConfig) -> Self {
        if config.kind == PortKind::Uplink {
            return Self {
                broadcast: true,
                multicast: true,
                unknown: true,
                promiscuous: false,
            };
        }
        let filter = &config.filter;
        Self {
            broadcast: filter.takes_broadcast(),
            multicast: filter.takes_every_multicast(),
            unknown: filter.takes_unknown_unicast(),
            promiscuous: filter.promiscuous,
        }
    }
}

impl Lists {
    /// Makes `port` a member of exactly these lists.
    pub(super) fn place(&mut self, port: PortId, member: Membership) {
        place(&mut self.broadcast, port, member.broadcast);
        place(&mut self.multicast, port, member.multicast);
        place(&mut self.unknown, port, member.unknown);
        place(&mut self.promiscuous, port, member.promiscuous);
    }

    fn is_empty(&self) -> bool {
        [
            &self.broadcast,
            &self.multicast,
            &self.unknown,
            &self.promiscuous,
        ]
        .iter()
        .all(|list| list.is_empty())
    }
}

/// Puts `port` into a sorted list or takes it out; a list that stays the same stays shared.
pub(super) fn place(list: &mut Arc<[PortId]>, port: PortId, member: bool) {
    match (list.binary_search(&port), member) {
        (Err(at), true) => {
            let (before, after) = list.split_at(at);
            *list = [before, &[port], after].concat().into();
        }
        (Ok(at), false) => *list = [&list[..at], &list[at + 1..]].concat().into(),
        _ => {}
    }
}

const PAGE: usize = 64;
type Page = [Option<Arc<Lists>>; PAGE];

/// The lists of every VLAN that has access ports, in pages so that a change copies little.
#[derive(Clone, Debug)]
pub(super) struct VlanLists {
    pages: [Option<Arc<Page>>; PAGE],
}

impl VlanLists {
    pub(super) const fn new() -> Self {
        Self {
            pages: [const { None }; PAGE],
        }
    }

    #[inline]
    pub(super) fn get(&self, vid: Vid) -> Option<&Lists> {
        let vid = usize::from(vid.0);
        self.pages.get(vid / PAGE)?.as_ref()?[vid % PAGE].as_deref()
    }

    /// Makes `port` a member of exactly these lists of `vid`, an id up to 4095.
    pub(super) fn place(&mut self, vid: Vid, port: PortId, member: Membership) {
        let vid = usize::from(vid.0);
        let Some(page) = self.pages.get_mut(vid / PAGE) else {
            return;
        };
        let page = Arc::make_mut(page.get_or_insert_with(|| Arc::new([const { None }; PAGE])));
        let slot = &mut page[vid % PAGE];
        let lists = Arc::make_mut(slot.get_or_insert_default());
        lists.place(port, member);
        if lists.is_empty() {
            *slot = None;
        }
    }
}
