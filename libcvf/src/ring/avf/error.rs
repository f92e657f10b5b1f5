//! What is wrong with a descriptor, or with what is asked for a frame.

use crate::limits::{MAX_AVF_FRAME_BUFFERS, MAX_FRAME_PIECES, MIN_AVF_FRAME, MIN_AVF_MSS};
use crate::mem::TranslateError;
use crate::offload::ParseError;

/// What is wrong with a descriptor of an AVF ring. Hardware calls its driver malicious and stops the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Neither a buffer nor, in front of a frame's buffers, one context.
    #[error("its type {0} is none that may stand there")]
    Type(u8),
    /// A buffer without a byte.
    #[error("its buffer has no bytes")]
    Empty,
    /// More buffers than a frame may have.
    #[error(
        "it has more than {MAX_AVF_FRAME_BUFFERS} buffers, or of a large-send frame {MAX_FRAME_PIECES}"
    )]
    Buffers,
    /// Fewer bytes than a frame may have.
    #[error("its frame has {0} bytes, fewer than {MIN_AVF_FRAME}")]
    Short(u32),
    /// A buffer is not usable memory.
    #[error("{0}")]
    Memory(#[from] TranslateError),
}

/// Why what is asked for a frame cannot be done. The frame is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// Something that was not offered: a tunnel, a dummy frame, both tags, a command that is not known, UDP cut
    /// into datagrams without `VIRTCHNL_VF_OFFLOAD_USO`.
    #[error("something is asked for that is not offered")]
    NotOffered,
    /// The headers cannot be read.
    #[error("the frame's headers cannot be read: {0}")]
    Headers(#[from] ParseError),
    /// The headers are others, or have other lengths, than the descriptors say.
    #[error("the frame's headers are not those that the descriptors speak of")]
    Mismatch,
    /// The frame is an IP fragment.
    #[error("a checksum or segmentation is asked for an IP fragment")]
    Fragment,
    /// Segments of fewer bytes than may be asked for.
    #[error("segments of {0} bytes: {MIN_AVF_MSS} at least")]
    Mss(u16),
    /// More bytes than a frame may have whose checksum is a CRC, or than IP can say.
    #[error("the frame is too long for what is asked")]
    Long,
    /// There is no room for a tag behind the copied headers.
    #[error("the copied headers leave no room for a VLAN tag")]
    NoRoom,
}
