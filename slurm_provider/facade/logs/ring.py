"""The last part of what a job has printed, for all who follow it; of bounded size."""

from collections import OrderedDict
from dataclasses import dataclass, field

from slurm_provider.facade.logs.places import LogKey, Place, Places

RING_BYTES = 1 << 20
RING_CHUNKS = 4096
COMPARED_BYTES = 16
"""So many of the last bytes must be the same to be taken for the same file."""


@dataclass(frozen=True)
class RingChunk:
    """Bytes of a file. `generation` counts how often the file had begun anew."""

    key: LogKey
    generation: int
    offset: int
    data: bytes
    position: int
    """Bytes of all files that came before."""

    @property
    def end(self) -> int:
        """Where in the file the next bytes begin."""
        return self.offset + len(self.data)


@dataclass
class RingFile:
    """What the ring knows of a file: how far it was read, and from where on it is all here."""

    place: Place = field(default_factory=Place)
    generation: int = 0
    kept_from: int = 0


class Ring:
    """Chunks in the order in which they were read, numbered without end; the oldest make room."""

    def __init__(self, most_bytes: int = RING_BYTES) -> None:
        self._most_bytes = most_bytes
        self._chunks: OrderedDict[int, RingChunk] = OrderedDict()
        self._bytes = 0
        self._position = 0
        self.first = 0
        """Number of the oldest chunk."""
        self.next = 0
        """Number of the chunk that will come next."""
        self.files: dict[LogKey, RingFile] = {}

    def __len__(self) -> int:
        return self._bytes

    @property
    def places(self) -> Places:
        """How far the files were read."""
        places = Places()
        for key, file in self.files.items():
            places[key].offset, places[key].before = file.place.offset, file.place.before
        return places

    def chunk(self, number: int) -> RingChunk | None:
        """Return a chunk that is here."""
        return self._chunks.get(number)

    def bytes_from(self, number: int) -> int:
        """Return how many bytes there are from a chunk on."""
        chunk = self._chunks.get(number)
        return self._position - chunk.position if chunk else 0

    def start_from(self, places: Places) -> None:
        """Forget all chunks and go on with what comes after these places."""
        self._chunks.clear()
        self._bytes = 0
        self.first = self.next
        for key in {*self.files, *places.files()}:
            place = places[key]
            generation = self.files.get(key, RingFile()).generation + 1
            self.files[key] = RingFile(Place(place.offset, place.before), generation, place.offset)

    def _has_room_for(self, data: bytes) -> bool:
        return self._bytes + len(data) <= self._most_bytes and len(self._chunks) < RING_CHUNKS

    def put(self, key: LogKey, offset: int, data: bytes) -> None:
        """Add what was read of a file."""
        while self._chunks and not self._has_room_for(data):
            self._drop_oldest()
        file = self.files.setdefault(key, RingFile())
        if offset != file.place.offset:
            file.generation += 1
            file.kept_from = offset
        file.place.move(offset, data)
        self._chunks[self.next] = RingChunk(key, file.generation, offset, data, self._position)
        self._bytes += len(data)
        self._position += len(data)
        self.next += 1

    def _drop_oldest(self) -> None:
        _, chunk = self._chunks.popitem(last=False)
        self._bytes -= len(chunk.data)
        self.first += 1
        file = self.files[chunk.key]
        if file.generation == chunk.generation:
            file.kept_from = chunk.end

    def holds_what_follows(self, key: LogKey, place: Place) -> bool:
        """Say whether a reader at this place finds here all that comes next in the file.

        What the reader has read last must be the same here, or the file began anew in between.
        """
        file = self.files.get(key, RingFile())
        if not file.kept_from <= place.offset <= file.place.offset:
            return False
        if place.offset == 0:
            return True
        known = self._bytes_before(key, file, place.offset)
        length = min(COMPARED_BYTES, len(place.before))
        return len(known) >= length > 0 and known[-length:] == place.before[-length:]

    def _bytes_before(self, key: LogKey, file: RingFile, offset: int) -> bytes:
        if offset == file.place.offset:
            return file.place.before
        same = (c for c in self._chunks.values() if (c.key, c.generation) == (key, file.generation))
        return next((c.data[: offset - c.offset] for c in same if c.offset < offset <= c.end), b"")
