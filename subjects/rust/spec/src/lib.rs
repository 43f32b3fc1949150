//! What is generated from `spec/proto`: messages, the control service, and their descriptors.
#![forbid(unsafe_code)]
#![allow(missing_docs, unreachable_pub, clippy::all)]

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// What crosses a link.
pub mod wire {
    tonic::include_proto!("counterpart.wire.v1");
}

/// How a harness drives a subject.
pub mod control {
    tonic::include_proto!("counterpart.control.v1");
}

/// The services every subject implements.
pub mod testbed {
    tonic::include_proto!("counterpart.testbed.v1");
}

/// Descriptors of all of these, with their options.
pub static DESCRIPTORS: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let encoded = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
    DescriptorPool::decode(encoded.as_slice()).expect("protoc wrote it")
});
