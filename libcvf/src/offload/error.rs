//! Why a frame's offload request is refused.

use super::parse::ParseError;

/// Why a sender's metadata does not fit its frame. The frame is dropped and counted by
/// [`OffloadError::name`]; it never harms anybody but its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum OffloadError {
    /// The headers cannot be read as far as the request needs them, or do not end within
    /// [`crate::limits::MAX_SEGMENT_HEADERS`].
    #[error("the frame's headers cannot be read: {0}")]
    Headers(#[from] ParseError),
    /// `csum_start + csum_offset + 2` lies behind the frame's end (virtio 1.3 5.1.6.2).
    #[error("the checksum to fill in lies behind the frame's end")]
    CsumPastEnd,
    /// The checksum would cover or overwrite the link header.
    #[error("the checksum to fill in starts inside the link header")]
    CsumInLinkHeader,
    /// A large-send frame without `NEEDS_CSUM` (virtio 1.3 5.1.6.2: gso needs it).
    #[error("a large-send frame must ask for its checksum")]
    GsoWithoutCsum,
    /// `csum_start` or `csum_offset` do not name the checksum of the frame's own TCP or UDP header.
    #[error("a large-send frame's checksum fields do not name its TCP or UDP checksum")]
    GsoCsumElsewhere,
    /// `gso_size` is 0, or below one fragment unit (8) for UFO.
    #[error("a large-send frame's gso_size is too small")]
    GsoSizeZero,
    /// The kind of large send and the frame's IP version or protocol differ.
    #[error("a large-send frame's kind does not match its IP version or protocol")]
    GsoMismatch,
    /// The frame is an IP fragment already.
    #[error("a large-send frame must not be an IP fragment")]
    GsoFragment,
    /// Extension headers with which the frame cannot be fragmented.
    #[error("a large-send frame's extension headers do not allow fragmentation")]
    GsoExtension,
    /// The segments' IP length would exceed 65,535.
    #[error("a large-send frame's gso_size makes segments longer than IP allows")]
    SegmentTooLong,
    /// More than [`crate::limits::MAX_SEGMENTS`] segments.
    #[error("a large-send frame would become too many segments")]
    TooManySegments,
    /// There is no room for a tag behind the copied headers.
    #[error("the copied headers leave no room for a VLAN tag")]
    NoRoom,
    /// A tag shall be removed or changed and there is none.
    #[error("the frame has no VLAN tag to edit")]
    NoTag,
}

impl OffloadError {
    /// How many reasons [`OffloadError::index`] tells apart.
    pub const COUNT: usize = 13;

    /// Names in the order of [`OffloadError::index`], for counters.
    pub const NAMES: [&'static str; Self::COUNT] = [
        "headers",
        "csum_past_end",
        "csum_in_link_header",
        "gso_without_csum",
        "gso_csum_elsewhere",
        "gso_size_zero",
        "gso_mismatch",
        "gso_fragment",
        "gso_extension",
        "segment_too_long",
        "too_many_segments",
        "no_room",
        "no_tag",
    ];

    /// A small number for this reason, below [`OffloadError::COUNT`].
    pub const fn index(self) -> usize {
        match self {
            Self::Headers(_) => 0,
            Self::CsumPastEnd => 1,
            Self::CsumInLinkHeader => 2,
            Self::GsoWithoutCsum => 3,
            Self::GsoCsumElsewhere => 4,
            Self::GsoSizeZero => 5,
            Self::GsoMismatch => 6,
            Self::GsoFragment => 7,
            Self::GsoExtension => 8,
            Self::SegmentTooLong => 9,
            Self::TooManySegments => 10,
            Self::NoRoom => 11,
            Self::NoTag => 12,
        }
    }

    /// The counter's name.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }
}
