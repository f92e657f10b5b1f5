//! Typed identifiers and compact sets of them.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Range;

/// An identifier that is a number within its PF.
pub trait Id: Copy + From<u32> + Into<u32> + Send + Sync + 'static {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u32);

        impl From<u32> for $name {
            fn from(number: u32) -> Self {
                Self(number)
            }
        }

        impl From<$name> for u32 {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl Id for $name {}
    };
}

id!(
    /// A receive and a transmit queue of the PF.
    QueuePair
);
id!(
    /// A receive-side scaling context of the PF.
    RssDomain
);
id!(
    /// An interrupt vector of the PF.
    Vector
);
id!(
    /// A doorbell page of the PF.
    DoorbellPage
);

/// Identifiers as ascending, non-adjacent ranges.
#[derive(Clone, PartialEq, Eq)]
pub struct IdSet<T> {
    ranges: Vec<Range<u32>>,
    kind: PhantomData<T>,
}

impl<T: Id> IdSet<T> {
    pub(super) fn new(ranges: Vec<Range<u32>>) -> Self {
        Self {
            ranges,
            kind: PhantomData,
        }
    }

    /// How many.
    pub fn len(&self) -> u32 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The lowest.
    pub fn first(&self) -> Option<T> {
        self.iter().next()
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.ranges.iter().flat_map(|r| r.clone().map(T::from))
    }

    /// As ranges, ascending.
    pub fn ranges(&self) -> &[Range<u32>] {
        &self.ranges
    }
}

impl<T: Id> fmt::Display for IdSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, r) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match r.end - r.start {
                1 => write!(f, "{comma}{}", r.start)?,
                _ => write!(f, "{comma}{}-{}", r.start, r.end - 1)?,
            }
        }
        Ok(())
    }
}

impl<T: Id> fmt::Debug for IdSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}
