//! The function with its virtual ones, where they are on: with all of them each pool has an IOMMU domain of its own.

use std::sync::Arc;

use super::nic::Nic;
use super::regs::POOLS;
use crate::pf::loss::Losable;
use crate::pf::vfio::{Alarms, Function, HostTree, PciAddress, VfioError};

/// A virtual function whose identity its pool's DMA has, and whose interrupts are the pool's. Nothing else of it is used.
pub(super) struct Virtual {
    pub nic: Arc<Nic>,
    pub function: Arc<Function>,
}

/// Opens the function, and its virtual ones where they are on.
pub(super) fn open(
    tree: &HostTree,
    address: PciAddress,
) -> Result<(Arc<Function>, Vec<Virtual>), VfioError> {
    let virtuals = tree.virtuals(address);
    if virtuals.is_empty() {
        return Ok((Arc::new(Function::open(tree, address)?), Vec::new()));
    }
    if virtuals.len() != usize::from(POOLS) {
        let what = format!(
            "it shows {} virtual functions; write {POOLS} into its sriov_numvfs, for an IOMMU domain for each device, or 0",
            virtuals.len()
        );
        return Err(VfioError::Lacks { address, what });
    }
    let token = tree
        .uuid()
        .map_err(|source| VfioError::Absent { address, source })?;
    let function = Arc::new(Function::open_with(tree, address, &token, None)?);
    let open = |address: &PciAddress| {
        let one = Function::open_with(tree, *address, &token, Some(function.alarms()))?;
        let registers = Box::new(one.bar(0)?);
        Ok(Virtual {
            nic: Arc::new(Nic::new(registers, address.to_string())),
            function: Arc::new(one),
        })
    };
    let virtuals = virtuals.iter().map(open).collect::<Result<_, _>>()?;
    Ok((function, virtuals))
}

/// All of them, lost as one: the DMA of a pool is its virtual function's, and the host takes those away first.
pub(super) struct Family {
    function: Arc<Function>,
    virtuals: Vec<Arc<Function>>,
}

impl Family {
    pub(super) fn of(function: &Arc<Function>, virtuals: &[Virtual]) -> Self {
        let own = |one: &Virtual| Arc::clone(&one.function);
        Self {
            function: Arc::clone(function),
            virtuals: virtuals.iter().map(own).collect(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Function>> {
        self.virtuals.iter().chain([&self.function])
    }
}

impl Losable for Family {
    fn address(&self) -> PciAddress {
        self.function.address()
    }

    fn alarms(&self) -> &Alarms {
        self.function.alarms()
    }

    fn has_vanished(&self) -> bool {
        self.all().any(|one| one.has_vanished())
    }

    fn quit(&self) -> Result<(), VfioError> {
        // Every one, also behind one that fails.
        let answers: Vec<_> = self.all().map(|one| one.quit()).collect();
        answers.into_iter().collect()
    }

    fn give_back(&self) {
        self.all().for_each(|one| one.give_back());
    }
}
