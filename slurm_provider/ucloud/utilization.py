"""What `retrieveUtilization` answers (UCloud's JobsRetrieveUtilizationResponse)."""

from pydantic import BaseModel


class CpuAndMemory(BaseModel):
    """Virtual cores, and memory in bytes."""

    cpu: float
    memory: int

    def __add__(self, other: "CpuAndMemory") -> "CpuAndMemory":
        return CpuAndMemory(cpu=self.cpu + other.cpu, memory=self.memory + other.memory)


class QueueStatus(BaseModel):
    """Numbers of jobs."""

    running: int
    pending: int

    def __add__(self, other: "QueueStatus") -> "QueueStatus":
        return QueueStatus(running=self.running + other.running, pending=self.pending + other.pending)


class Utilization(BaseModel):
    """What there is, what is in use, and how long the queue is."""

    capacity: CpuAndMemory
    usedCapacity: CpuAndMemory
    queueStatus: QueueStatus

    def __add__(self, other: "Utilization") -> "Utilization":
        return Utilization(
            capacity=self.capacity + other.capacity,
            usedCapacity=self.usedCapacity + other.usedCapacity,
            queueStatus=self.queueStatus + other.queueStatus,
        )
