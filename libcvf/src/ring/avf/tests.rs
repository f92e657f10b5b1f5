mod driver;
mod hostile;
mod layout;
mod offloads;
mod receive;
mod transmit;
mod trip;
