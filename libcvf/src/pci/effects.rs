//! What a configuration write set in motion.

/// Device power state (PCI power management specification 1.2, PMCSR bits 1:0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PowerState {
    /// Fully on.
    #[default]
    D0,
    /// Off as far as software is concerned; configuration space stays accessible.
    D3hot,
}

/// A power transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerChange {
    /// The state that was left.
    pub from: PowerState,
    /// The state that was entered.
    pub to: PowerState,
    /// The function loses its state with this transition (D3hot to D0 without `No_Soft_Reset`).
    pub soft_reset: bool,
}

/// MSI-X message control as the driver set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsixControl {
    /// MSI-X Enable.
    pub enabled: bool,
    /// Function Mask.
    pub masked: bool,
}

/// What a configuration write set in motion: each `Some` is a value that changed, with its new
/// value. The owner of the function acts on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The driver initiated a function level reset. Clients such as QEMU forward it raw.
    pub flr: bool,
    /// Bus Master Enable.
    pub bus_master: Option<bool>,
    /// Memory Space Enable.
    pub memory_enable: Option<bool>,
    /// Interrupt Disable (legacy interrupts).
    pub intx_disable: Option<bool>,
    /// Power state.
    pub power: Option<PowerChange>,
    /// MSI-X Enable or Function Mask.
    pub msix: Option<MsixControl>,
}

impl Effects {
    /// True when the function must lose its state: function level reset or a power transition that
    /// implies one.
    pub fn resets(&self) -> bool {
        self.flr || self.power.is_some_and(|change| change.soft_reset)
    }
}
