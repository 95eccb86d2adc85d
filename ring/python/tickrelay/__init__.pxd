# from tickrelay cimport api, Client: see api.pxd for the C functions.
from tickrelay._client cimport Client
