//! What is exported: one object per PF, per job, and per device up to a limit, each with its properties.
//!
//! Properties are as they were when the object was looked at last, so that what is read and what is
//! signalled never contradict one another.

use std::collections::{BTreeMap, BTreeSet};

use super::super::convert::Dict;
use super::path::Object;
use super::properties::of_manager;

/// What to signal.
#[derive(Debug)]
pub(super) enum Change {
    Added(Object, Dict),
    Removed(Object),
    /// The properties that are new.
    Altered(Object, Dict),
}

/// The exported objects.
#[derive(Debug)]
pub(super) struct Objects {
    exported: BTreeMap<Object, Dict>,
    devices: usize,
    limit: usize,
    /// Devices that have no place.
    left_out: BTreeSet<String>,
}

impl Objects {
    /// None but the manager; places for `limit` devices.
    pub(super) fn new(limit: usize) -> Self {
        let manager = (Object::Manager, of_manager(limit, 0));
        Self {
            exported: BTreeMap::from([manager]),
            devices: 0,
            limit,
            left_out: BTreeSet::new(),
        }
    }

    /// An object's properties.
    pub(super) fn get(&self, object: &Object) -> Option<&Dict> {
        self.exported.get(object)
    }

    /// All objects.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Object, &Dict)> {
        self.exported.iter()
    }

    /// Names of devices that are known, exported or not.
    pub(super) fn device_names(&self) -> Vec<String> {
        let exported = self.exported.keys().filter_map(|object| match object {
            Object::Device(name) => Some(name),
            _ => None,
        });
        exported.chain(&self.left_out).cloned().collect()
    }

    /// A device without a place that could have one now.
    pub(super) fn next_in(&self) -> Option<String> {
        let name = self.left_out.first()?;
        (self.devices < self.limit).then(|| name.clone())
    }

    /// The object is there, with these properties.
    pub(super) fn put(&mut self, object: Object, properties: Dict) -> Option<Change> {
        if let Some(before) = self.exported.get_mut(&object) {
            let new: Dict = properties
                .iter()
                .filter(|(key, value)| before.get(*key) != Some(*value))
                .filter_map(|(key, value)| Some((key.clone(), value.try_clone().ok()?)))
                .collect();
            *before = properties;
            return (!new.is_empty()).then_some(Change::Altered(object, new));
        }
        if let Object::Device(name) = &object {
            if self.devices >= self.limit {
                self.left_out.insert(name.clone());
                return None;
            }
            self.left_out.remove(name);
            self.devices += 1;
        }
        let copy = clone(&properties);
        self.exported.insert(object.clone(), properties);
        Some(Change::Added(object, copy))
    }

    /// The device is not there.
    pub(super) fn remove_device(&mut self, name: &str) -> Option<Change> {
        self.left_out.remove(name);
        let object = Object::Device(name.to_owned());
        self.exported.remove(&object)?;
        self.devices -= 1;
        Some(Change::Removed(object))
    }

    /// The job is shown no more.
    pub(super) fn remove_job(&mut self, id: u32) -> Option<Change> {
        let object = Object::Job(id);
        self.exported.remove(&object)?;
        Some(Change::Removed(object))
    }

    /// Numbers of jobs that are shown.
    pub(super) fn job_ids(&self) -> Vec<u32> {
        let ids = self.exported.keys().filter_map(|object| match object {
            Object::Job(id) => Some(*id),
            _ => None,
        });
        ids.collect()
    }

    /// What the manager says about the others.
    pub(super) fn recount(&mut self) -> Option<Change> {
        let properties = of_manager(self.limit, self.left_out.len());
        self.put(Object::Manager, properties)
    }
}

/// A copy; values hold no file descriptors, so each can be copied.
pub(super) fn clone(dict: &Dict) -> Dict {
    dict.iter()
        .filter_map(|(key, value)| Some((key.clone(), value.try_clone().ok()?)))
        .collect()
}
