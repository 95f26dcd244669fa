"""Machines and public links as today's Core has them registered (UCloud's ProductV2), field by field."""

from pydantic import BaseModel


class AccountingUnit(BaseModel):
    """In what a category is paid for."""

    name: str
    namePlural: str
    floatingPoint: bool
    displayFrequencySuffix: bool


class ProductCategory(BaseModel):
    """What the products of one kind have in common."""

    name: str
    provider: str
    productType: str = "COMPUTE"
    accountingUnit: AccountingUnit
    accountingFrequency: str
    freeToUse: bool
    allowSubAllocations: bool


class Fraction(BaseModel):
    """The share of a whole machine, of which Core wants to know."""

    numerator: int = 1
    denominator: int = 1


class LinkProduct(BaseModel):
    """One item of `products/v2`: public links."""

    type: str = "ingress"
    productType: str = "INGRESS"
    name: str
    description: str
    price: int
    category: ProductCategory


class ComputeProduct(BaseModel):
    """Another: a machine. Sizes are those of one replica; memory is in GiB."""

    type: str = "compute"
    productType: str = "COMPUTE"
    name: str
    description: str
    price: int
    category: ProductCategory
    cpu: int
    memoryInGigs: int
    gpu: int = 0
    cpuModel: str | None = None
    memoryModel: str | None = None
    gpuModel: str | None = None
    fraction: Fraction = Fraction()
