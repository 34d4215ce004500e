"""x.npy (u8 [10000, 784]) and label.npy (i32 [10000]) in the directory given: bytes and labels at random."""
import random, struct, sys

random.seed(1)


def write(path, descr, shape, payload):
    header = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }" % (descr, shape)
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + payload)


directory = sys.argv[1]
write(directory + "/x.npy", "|u1", "(10000, 784)", random.randbytes(10000 * 784))
labels = [random.randrange(10) for _ in range(10000)]
write(directory + "/label.npy", "<i4", "(10000,)", struct.pack("<10000i", *labels))
