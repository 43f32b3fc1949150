//! Generates from `spec/proto` of the repository; needs `protoc` on the PATH.
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../../../spec/proto");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    let files = ["wire", "control", "testbed"]
        .map(|name| root.join(format!("counterpart/{name}/v1/{name}.proto")));
    // They are outside of this package: without this a change of them would not be noticed.
    files.iter().for_each(|file| println!("cargo:rerun-if-changed={}", file.display()));
    tonic_prost_build::configure()
        .build_client(false)
        .bytes(".")
        .file_descriptor_set_path(out.join("descriptors.bin"))
        .compile_protos(&files, &[root])?;
    Ok(())
}
