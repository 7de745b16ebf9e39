//! Typed access to the small documents.

use serde::{Serialize, de::DeserializeOwned};

use super::{Document, DocumentKind, Store, StoreError, Versioned};

/// Reads a document, or `T::default()` at revision 0 where there is none.
pub async fn load<T: DeserializeOwned + Default>(
    store: &dyn Store,
    kind: DocumentKind,
    key: &str,
) -> Result<Versioned<T>, StoreError> {
    let Versioned { value, revision } = store.document(kind, key).await?;
    let value = match value.value {
        Some(json) => decode(kind, key, json)?,
        None => T::default(),
    };
    Ok(Versioned { value, revision })
}

/// Reads all documents of a kind with their keys.
pub async fn load_all<T: DeserializeOwned>(
    store: &dyn Store,
    kind: DocumentKind,
) -> Result<Vec<(String, Versioned<T>)>, StoreError> {
    let mut loaded = Vec::new();
    for Versioned {
        value: Document { key, value, .. },
        revision,
    } in store.documents(kind).await?
    {
        if let Some(json) = value {
            let value = decode(kind, &key, json)?;
            loaded.push((key, Versioned { value, revision }));
        }
    }
    Ok(loaded)
}

/// A document ready for a batch.
pub fn to_write<T: Serialize>(
    kind: DocumentKind,
    key: &str,
    document: &Versioned<T>,
) -> Result<Versioned<Document>, StoreError> {
    let value = serde_json::to_value(&document.value).map_err(|error| StoreError::Damaged {
        place: format!("{kind} {key}"),
        what: format!("it cannot be written as JSON ({error}); please report this"),
    })?;
    Ok(Versioned {
        value: Document {
            kind,
            key: key.to_owned(),
            value: Some(value),
        },
        revision: document.revision,
    })
}

fn decode<T: DeserializeOwned>(kind: DocumentKind, key: &str, json: serde_json::Value) -> Result<T, StoreError> {
    serde_json::from_value(json).map_err(|error| StoreError::Damaged {
        place: format!("{kind} {key}"),
        what: format!("its content is not what this program writes ({error})"),
    })
}
