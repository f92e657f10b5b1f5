//! vfio-user-server
