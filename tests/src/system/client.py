"""Connects to the vfio-user socket that is named, agrees on a version and keeps the device."""

import json
import socket
import struct
import sys
import time

VERSION = 1
REPLY = 1

client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
text = json.dumps({"capabilities": {"max_msg_fds": 8}}).encode() + b"\0"
body = struct.pack("<HH", 0, 1) + text
client.sendall(struct.pack("<HHIII", 1, VERSION, 16 + len(body), 0, 0) + body)
number, command, size, flags, error = struct.unpack("<HHIII", client.recv(16))
if (number, command, flags & 0xF, error) != (1, VERSION, REPLY, 0):
    sys.exit(f"VERSION was answered by command {command}, flags {flags}, error {error}")
print("connected", flush=True)
time.sleep(600)
