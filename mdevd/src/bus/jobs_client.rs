//! Jobs at the other end.

use std::collections::HashMap;

use serde_json::Value as Json;
use zbus::zvariant::OwnedValue;

use super::client::{CallError, ManagerClient, Options, strange};
use super::convert::dict_to_json;

impl ManagerClient {
    /// One page of jobs, and where the next one begins; 0 after the last.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn jobs(&self, after: u32, limit: u32) -> Result<(Vec<Json>, u32), CallError> {
        let body = (after, limit, Options::new());
        let reply = self.call("ListJobs", &body).await?;
        let (jobs, next): (Vec<HashMap<String, OwnedValue>>, u32) = reply
            .body()
            .deserialize()
            .map_err(|error| strange(&error))?;
        Ok((jobs.iter().map(dict_to_json).collect(), next))
    }

    /// One job.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn job(&self, id: u32) -> Result<Json, CallError> {
        self.ask("ShowJob", &(id, Options::new())).await
    }

    /// What a job has come to: the answer of its method, or its error.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn job_result(&self, id: u32) -> Result<Json, CallError> {
        self.ask("JobResult", &(id, Options::new())).await
    }

    /// Has a job end before it is done.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn cancel_job(&self, id: u32) -> Result<(), CallError> {
        let body = (id, Options::new());
        self.call("CancelJob", &body).await.map(drop)
    }
}
