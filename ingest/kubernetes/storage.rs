//! Disks and who claims them: `k8s_persistent_volume`, `k8s_persistent_volume_claim`.

use engine::{Column, Table, Type};

use super::cells::{Cells, object_columns};
use super::detail::{Detail, Write};
use super::meta::Meta;
use crate::json::Reason;

/// PersistentVolumes.
pub static K8S_PERSISTENT_VOLUME: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_persistent_volume",
        "The last seen state of every PersistentVolume.",
        object_columns![
            Column::new("phase", Type::Name, "`Available`, `Bound`, `Released` or `Failed`."),
            Column::new("capacity_bytes", Type::Int, "Size of the volume.").unit("bytes"),
            Column::new("storage_class", Type::Name, "Storage class."),
            Column::new("access_modes", Type::Json, "The list `spec.accessModes`."),
            Column::new("volume_mode", Type::Name, "`Filesystem` or `Block`."),
            Column::new("reclaim_policy", Type::Name, "`Retain` or `Delete`: what becomes of it without its claim."),
            Column::new("claim_namespace", Type::Name, "Namespace of the claim that holds it."),
            Column::new("claim_name", Type::Text, "Name of the claim that holds it."),
            Column::new("csi_driver", Type::Name, "The driver behind it (`disk.csi.azure.com`)."),
            Column::new("volume_handle", Type::Text, "The disk's id at its cloud; joins cost by resource."),
        ],
    )
};

/// PersistentVolumeClaims.
pub static K8S_PERSISTENT_VOLUME_CLAIM: Table = Table {
    key: &["cluster", "namespace", "name"],
    time: "ingested_at",
    ..Table::new(
        "k8s_persistent_volume_claim",
        "The last seen state of every PersistentVolumeClaim.",
        object_columns![
            Column::new("phase", Type::Name, "`Pending`, `Bound` or `Lost`."),
            Column::new("request_bytes", Type::Int, "Size that is asked for.").unit("bytes"),
            Column::new("capacity_bytes", Type::Int, "Size of the volume that it got.").unit("bytes"),
            Column::new("storage_class", Type::Name, "Storage class."),
            Column::new("access_modes", Type::Json, "The list `spec.accessModes`."),
            Column::new("volume_mode", Type::Name, "`Filesystem` or `Block`."),
            Column::new("volume_name", Type::Text, "The volume; `k8s_persistent_volume.name` joins it."),
        ],
    )
};

/// PersistentVolumes.
pub static PERSISTENT_VOLUME: Detail =
    Detail { table: &K8S_PERSISTENT_VOLUME, kinds: &[("", "PersistentVolume")], write: Write::One(volume) };
/// PersistentVolumeClaims.
pub static PERSISTENT_VOLUME_CLAIM: Detail =
    Detail { table: &K8S_PERSISTENT_VOLUME_CLAIM, kinds: &[("", "PersistentVolumeClaim")], write: Write::One(claim) };

fn volume(_: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    cells
        .text("phase", "status.phase")?
        .whole("capacity_bytes", "spec.capacity", "storage")?
        .text("storage_class", "spec.storageClassName")?
        .json("access_modes", "spec.accessModes")?
        .text("volume_mode", "spec.volumeMode")?
        .text("reclaim_policy", "spec.persistentVolumeReclaimPolicy")?
        .text("claim_namespace", "spec.claimRef.namespace")?
        .text("claim_name", "spec.claimRef.name")?
        .text("csi_driver", "spec.csi.driver")?
        .text("volume_handle", "spec.csi.volumeHandle")?;
    Ok(())
}

fn claim(_: &Meta<'_>, cells: &mut Cells<'_, '_>) -> Result<(), Reason> {
    cells
        .text("phase", "status.phase")?
        .whole("request_bytes", "spec.resources.requests", "storage")?
        .whole("capacity_bytes", "status.capacity", "storage")?
        .text("storage_class", "spec.storageClassName")?
        .json("access_modes", "spec.accessModes")?
        .text("volume_mode", "spec.volumeMode")?
        .text("volume_name", "spec.volumeName")?;
    Ok(())
}
